"""Content over HTTP. Every answer depends on who asks, so none may be kept by a shared cache."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.functional import cached_property
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import NotAuthenticated
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import selectors as accounts
from api.concurrency import required_version, with_version
from api.idempotency import idempotent
from api.pagination import NewestFirstPagination
from api.permissions import Anyone, Creator, SignedIn
from api.signed_urls import sign
from content import selectors
from content.access import Viewer
from content.exceptions import MediaNotReadyError
from content.models import Comment, MediaRef, Post
from content.serializers import (
    CommentSerializer,
    CommentTextSerializer,
    LikeSerializer,
    MediaUrlQuerySerializer,
    MediaUrlSerializer,
    NewCommentSerializer,
    NewPostSerializer,
    NewReportSerializer,
    OwnPostFilterSerializer,
    OwnPostSerializer,
    PostChangeSerializer,
    PostFilterSerializer,
    ReportSerializer,
    ScheduleSerializer,
    post_shapes,
    render_comments,
    render_posts,
)
from content.services import comments, lifecycle, likes, posts, reports

URL_LIFETIME = {MediaRef.Kind.IMAGE: timedelta(seconds=300)}
LONGEST_URL_LIFETIME = timedelta(seconds=900)


class PrivateView(APIView):
    """A view whose answers depend on the viewer; `permissions` names who may call which method."""

    permissions: dict[str, type[BasePermission]] = {}

    def get_permissions(self) -> list[Any]:
        """The permission of the method; a method that is not named is closed."""
        method = "GET" if self.request.method == "HEAD" else self.request.method
        permission = self.permissions.get(method or "")
        return [permission()] if permission else list(super().get_permissions())

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Keep the answer out of every shared cache."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Cache-Control"] = "private, no-store"
        return response

    @cached_property
    def viewer(self) -> Viewer:
        """Who asks."""
        user = self.request.user
        if not user.is_authenticated:
            return Viewer()
        return Viewer(user_id=user.pk, is_moderator=user.has_role("moderator"))

    @property
    def user_id(self) -> UUID:
        """Who asks, where the permission lets only the signed in come."""
        user = self.request.user
        if not user.is_authenticated:
            raise NotAuthenticated
        return user.pk


class NewestPublishedPagination(NewestFirstPagination):
    """By publication, newest first."""

    ordering = ("-published_at", "-id")


class HighestScorePagination(NewestFirstPagination):
    """By trending score, highest first."""

    ordering = ("-trend_score", "-id")


class OldestFirstPagination(NewestFirstPagination):
    """A conversation, in the order in which it was held."""

    ordering = ("created_at", "id")


class PostPageView(PrivateView, GenericAPIView[Post]):
    """A page of posts, each in the shape that the viewer may see."""

    def page(self, queryset: QuerySet[Post], viewer: Viewer, now: datetime) -> Response:
        """The page that the cursor asks for."""
        found = self.paginate_queryset(queryset) or []
        return self.get_paginated_response(render_posts(found, viewer, now))


def rendered(post: Post, viewer: Viewer, *, code: int = status.HTTP_200_OK) -> Response:
    """One post in the viewer's shape, with its version for its creator."""
    response = Response(render_posts([post], viewer, timezone.now())[0], status=code)
    return with_version(response, post.version) if post.creator_id == viewer.user_id else response


class PostListView(PostPageView):
    """The published posts; a creator writes new ones."""

    permissions = {"GET": Anyone, "POST": Creator}
    pagination_class = NewestPublishedPagination
    throttle_scope = {"POST": "posts"}

    @extend_schema(operation_id="posts_list", parameters=[PostFilterSerializer], responses=post_shapes(many=True))
    def get(self, request: Request) -> Response:
        """List published posts, of everyone or of one creator, newest first; what is not for you is locked."""
        query = PostFilterSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        found = selectors.published_posts()
        if "creator" in query.validated_data:
            found = found.filter(creator_id=query.validated_data["creator"])
        return self.page(found, self.viewer, timezone.now())

    @extend_schema(operation_id="posts_create", request=NewPostSerializer, responses={201: OwnPostSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """Write a post: a draft, out at once, or to come out at a time; with files in processing it waits for them."""
        body = NewPostSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        fields = dict(body.validated_data)
        wanted = Post.Status.PUBLISHED if fields.pop("publish") else Post.Status.DRAFT
        publish_at = fields.pop("publish_at", None)
        post = posts.create_post(creator_id=self.user_id, fields=fields, status=wanted, publish_at=publish_at)  # type: ignore[arg-type]  # its names are the serializer's
        return rendered(post, self.viewer, code=status.HTTP_201_CREATED)


class OwnPostListView(PostPageView):
    """A creator's own posts in every state."""

    permissions = {"GET": Creator}

    @extend_schema(
        operation_id="own_posts_list", parameters=[OwnPostFilterSerializer], responses=OwnPostSerializer(many=True)
    )
    def get(self, request: Request) -> Response:
        """List your own posts, drafts and withdrawn ones too, newest first."""
        query = OwnPostFilterSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        found = selectors.own_posts(self.viewer).filter(**query.validated_data)
        return self.page(found, self.viewer, timezone.now())


class FeedView(PostPageView):
    """What is new where one subscribes."""

    permissions = {"GET": SignedIn}
    pagination_class = NewestPublishedPagination

    @extend_schema(operation_id="feed_list", responses=post_shapes(many=True))
    def get(self, request: Request) -> Response:
        """List the posts of the creators you subscribe to, newest first."""
        now = timezone.now()
        return self.page(selectors.feed(self.viewer, now), self.viewer, now)


class TrendingView(PostPageView):
    """What readers answer to now."""

    permissions = {"GET": Anyone}
    pagination_class = HighestScorePagination

    @extend_schema(operation_id="posts_trending_list", responses=post_shapes(many=True))
    def get(self, request: Request) -> Response:
        """List the posts that are liked and talked about, the liveliest first."""
        return self.page(selectors.trending_posts(), self.viewer, timezone.now())


class PostView(PrivateView):
    """One post."""

    permissions = {"GET": Anyone, "PATCH": Creator, "DELETE": Creator}
    throttle_scope = {"PATCH": "posts", "DELETE": "posts"}

    @extend_schema(operation_id="posts_retrieve", responses=post_shapes())
    def get(self, request: Request, post_id: UUID) -> Response:
        """Read a post, in full or locked."""
        viewer = self.viewer
        known = selectors.known_posts(viewer, timezone.now())
        return rendered(get_object_or_404(known.with_parts(), pk=post_id), viewer)

    @extend_schema(operation_id="posts_update", request=PostChangeSerializer, responses=OwnPostSerializer)
    def patch(self, request: Request, post_id: UUID) -> Response:
        """Change the post that you have seen in the version named by If-Match."""
        version = required_version(request)
        body = PostChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        changes = dict(body.validated_data)
        post = posts.update_post(post_id=post_id, creator_id=self.user_id, version=version, fields=changes)  # type: ignore[arg-type]  # its names are the serializer's
        return rendered(post, self.viewer)

    @extend_schema(operation_id="posts_delete", responses={204: None})
    def delete(self, request: Request, post_id: UUID) -> Response:
        """Delete a post that nobody has bought."""
        lifecycle.delete_post(post_id=post_id, creator_id=self.user_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class PublishView(PrivateView):
    """A draft comes out, a withdrawn post comes back."""

    permissions = {"POST": Creator}
    throttle_scope = "posts"

    @extend_schema(operation_id="posts_publish", request=None, responses=OwnPostSerializer)
    def post(self, request: Request, post_id: UUID) -> Response:
        """Publish the post, or let it wait for its files."""
        return rendered(lifecycle.publish_post(post_id=post_id, creator_id=self.user_id), self.viewer)


class ScheduleView(PrivateView):
    """The time at which a post comes out by itself."""

    permissions = {"POST": Creator, "DELETE": Creator}
    throttle_scope = "posts"

    @extend_schema(operation_id="posts_schedule", request=ScheduleSerializer, responses=OwnPostSerializer)
    def post(self, request: Request, post_id: UUID) -> Response:
        """Let the post come out at a time, or change the time; files still in processing are waited for as well."""
        body = ScheduleSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        post = lifecycle.schedule_post(post_id=post_id, creator_id=self.user_id, **body.validated_data)
        return rendered(post, self.viewer)

    @extend_schema(operation_id="posts_unschedule", responses={200: OwnPostSerializer})
    def delete(self, request: Request, post_id: UUID) -> Response:
        """Make the scheduled post a draft again."""
        return rendered(lifecycle.unschedule_post(post_id=post_id, creator_id=self.user_id), self.viewer)


class WithdrawView(PrivateView):
    """A published post goes off sale."""

    permissions = {"POST": Creator}
    throttle_scope = "posts"

    @extend_schema(operation_id="posts_withdraw", request=None, responses=OwnPostSerializer)
    def post(self, request: Request, post_id: UUID) -> Response:
        """Withdraw the post; who bought it goes on reading it."""
        return rendered(lifecycle.withdraw_post(post_id=post_id, creator_id=self.user_id), self.viewer)


class LikeView(PrivateView):
    """The viewer's own like."""

    permissions = {"PUT": SignedIn, "DELETE": SignedIn}
    throttle_scope = "likes"

    @extend_schema(operation_id="posts_like", request=None, responses=LikeSerializer)
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
    def get(self, request: Request, post_id: UUID) -> Response:
        """List the comments under a post that you may read, newest first."""
        found = self.paginate_queryset(selectors.comments_of(self.readable_post(post_id))) or []
        return self.get_paginated_response(render_comments(found))

    @extend_schema(operation_id="comments_create", request=NewCommentSerializer, responses={201: CommentSerializer})
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
    def get(self, request: Request, post_id: UUID, comment_id: UUID) -> Response:
        """List the answers to a comment, oldest first."""
        comment = get_object_or_404(selectors.comments_of(self.readable_post(post_id)), pk=comment_id)
        found = self.paginate_queryset(selectors.replies_to(comment)) or []
        return self.get_paginated_response(render_comments(found))


class CommentView(PrivateView):
    """One comment."""

    permissions = {"PATCH": SignedIn, "DELETE": SignedIn}
    throttle_scope = {"PATCH": "comments"}

    @extend_schema(operation_id="comments_update", request=CommentTextSerializer, responses=CommentSerializer)
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
    def get(self, request: Request, post_id: UUID, media_id: UUID) -> Response:
        """Give a short-lived address of one rendition of a file in a post that you may read."""
        query = MediaUrlQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        variant = query.validated_data["variant"]
        media = get_object_or_404(selectors.file_of(self.readable_post(post_id), media_id))
        if not media.is_ready:
            raise MediaNotReadyError
        if variant not in media.variants:
            raise Http404
        lifetime = URL_LIFETIME.get(MediaRef.Kind(media.kind), LONGEST_URL_LIFETIME)
        signed = sign(media_id=media_id, variant=variant, viewer_id=self.viewer.user_id, ttl=lifetime)
        return Response(MediaUrlSerializer(signed).data)
