"""What readers do with a post over HTTP: like it, report it, talk under it, and open its files."""

from datetime import timedelta
from uuid import UUID

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import selectors as accounts
from api.permissions import Anyone, SignedIn
from api.refusals import refuses
from api.signed_urls import sign
from content import exceptions as rules
from content import selectors
from content.models.posts import Post
from content.models.projections import MediaRef
from content.models.reactions import Comment
from content.serializers import (
    CommentSerializer,
    CommentTextSerializer,
    LikeSerializer,
    MediaUrlQuerySerializer,
    MediaUrlSerializer,
    NewCommentSerializer,
    NewReportSerializer,
    ReportSerializer,
    render_comments,
)
from content.services import comments, likes, reports
from content.views import OldestFirstPagination, PrivateView

URL_LIFETIME = {MediaRef.Kind.IMAGE: timedelta(seconds=300)}
LONGEST_URL_LIFETIME = timedelta(seconds=900)


class LikeView(PrivateView):
    """The viewer's own like."""

    permissions = {"PUT": SignedIn, "DELETE": SignedIn}
    throttle_scope = "likes"

    @extend_schema(operation_id="posts_like", request=None, responses=LikeSerializer)
    @refuses(rules.LockedError, rules.NotPublishedError)
    def put(self, request: Request, post_id: UUID) -> Response:
        """Like the post; a second time changes nothing."""
        post = likes.like_post(post_id=post_id, viewer=self.viewer)
        return Response({"liked": True, "like_count": post.like_count})

    @extend_schema(operation_id="posts_unlike", responses={200: LikeSerializer})
    def delete(self, request: Request, post_id: UUID) -> Response:
        """Take your like back; without one nothing changes."""
        post = likes.unlike_post(post_id=post_id, viewer=self.viewer)
        return Response({"liked": False, "like_count": post.like_count})


class ReportView(PrivateView):
    """A reader's report of a post."""

    permissions = {"POST": SignedIn}
    throttle_scope = "reports"

    @extend_schema(
        operation_id="posts_report",
        request=NewReportSerializer,
        responses={200: ReportSerializer, 201: ReportSerializer},
    )
    @refuses(rules.OwnPostError)
    def post(self, request: Request, post_id: UUID) -> Response:
        """Report a post to the moderators; a second report of yours changes nothing and answers with the first."""
        body = NewReportSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        user = accounts.user(self.user_id)
        report, is_new = reports.report_post(
            post_id=post_id, viewer=self.viewer, member_since=user.created_at, **body.validated_data
        )
        code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
        return Response(ReportSerializer(report).data, status=code)


class ReadersView(PrivateView):
    """What is only there for who may read the post."""

    def readable_post(self, post_id: UUID) -> Post:
        """The post; not there for who may not know of it, refused to whom it is locked."""
        viewer, now = self.viewer, timezone.now()
        post = get_object_or_404(selectors.known_posts(viewer, now), pk=post_id)
        selectors.require_access(viewer, post, now)
        return post


class CommentListView(ReadersView, GenericAPIView[Comment]):
    """The comments under a post."""

    permissions = {"GET": Anyone, "POST": SignedIn}
    throttle_scope = {"POST": "comments"}

    @extend_schema(operation_id="comments_list", responses=CommentSerializer(many=True))
    @refuses(rules.LockedError)
    def get(self, request: Request, post_id: UUID) -> Response:
        """List the comments under a post that you may read, newest first."""
        found = self.paginate_queryset(selectors.comments_of(self.readable_post(post_id), self.viewer)) or []
        return self.get_paginated_response(render_comments(found))

    @extend_schema(operation_id="comments_create", request=NewCommentSerializer, responses={201: CommentSerializer})
    @refuses(rules.LockedError, rules.CommentsClosedError, rules.ReplyDepthError)
    def post(self, request: Request, post_id: UUID) -> Response:
        """Comment on a post that you may read, or answer one of its top-level comments."""
        body = NewCommentSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        comment = comments.add_comment(post_id=post_id, viewer=self.viewer, **body.validated_data)
        return Response(render_comments([comment])[0], status=status.HTTP_201_CREATED)


class ReplyListView(ReadersView, GenericAPIView[Comment]):
    """The answers to a comment."""

    permissions = {"GET": Anyone}
    pagination_class = OldestFirstPagination

    @extend_schema(operation_id="replies_list", responses=CommentSerializer(many=True))
    @refuses(rules.LockedError)
    def get(self, request: Request, post_id: UUID, comment_id: UUID) -> Response:
        """List the answers to a comment, oldest first."""
        comment = get_object_or_404(selectors.comments_of(self.readable_post(post_id), self.viewer), pk=comment_id)
        found = self.paginate_queryset(selectors.replies_to(comment, self.viewer)) or []
        return self.get_paginated_response(render_comments(found))


class CommentView(PrivateView):
    """One comment."""

    permissions = {"PATCH": SignedIn, "DELETE": SignedIn}
    throttle_scope = {"PATCH": "comments"}

    @extend_schema(operation_id="comments_update", request=CommentTextSerializer, responses=CommentSerializer)
    @refuses(rules.LockedError)
    def patch(self, request: Request, comment_id: UUID) -> Response:
        """Change the words of your own comment."""
        body = CommentTextSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        comment = comments.edit_comment(comment_id=comment_id, viewer=self.viewer, **body.validated_data)
        return Response(render_comments([comment])[0])

    @extend_schema(operation_id="comments_delete", responses={204: None})
    def delete(self, request: Request, comment_id: UUID) -> Response:
        """Delete your own comment, one under your post, or as a moderator any."""
        comments.delete_comment(comment_id=comment_id, viewer=self.viewer)
        return Response(status=status.HTTP_204_NO_CONTENT)


class MediaUrlView(ReadersView):
    """The way to a file's bytes."""

    permissions = {"GET": Anyone}
    throttle_scope = "signed_urls"

    @extend_schema(operation_id="posts_media_url", parameters=[MediaUrlQuerySerializer], responses=MediaUrlSerializer)
    @refuses(rules.LockedError, rules.MediaNotReadyError)
    def get(self, request: Request, post_id: UUID, media_id: UUID) -> Response:
        """Give a short-lived address of one rendition of a file in a post that you may read, or of a preview."""
        query = MediaUrlQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        variant = query.validated_data["variant"]
        media = self.file(post_id, media_id)
        if not media.is_ready:
            raise rules.MediaNotReadyError
        if variant not in media.variants:
            raise Http404
        lifetime = URL_LIFETIME.get(MediaRef.Kind(media.kind), LONGEST_URL_LIFETIME)
        signed = sign(media_id=media_id, variant=variant, viewer_id=self.viewer.user_id, ttl=lifetime)
        return Response(MediaUrlSerializer(signed).data)

    def file(self, post_id: UUID, media_id: UUID) -> MediaRef:
        """The file of a post that the viewer may read, or one that its creator shows to all who may know of it."""
        viewer, now = self.viewer, timezone.now()
        post = get_object_or_404(selectors.known_posts(viewer, now), pk=post_id)
        preview = selectors.preview_of(post, media_id).first()
        if preview is not None:
            return preview
        selectors.require_access(viewer, post, now)
        return get_object_or_404(selectors.file_of(post, media_id))
