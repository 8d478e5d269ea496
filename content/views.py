"""Content over HTTP. Every answer depends on who asks, so none may be kept by a shared cache."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
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

from api.bounds import bounded
from api.concurrency import IF_MATCH, required_version, with_version
from api.exceptions import AmountOutOfRangeError, CurrencyNotSupportedError
from api.idempotency import idempotent
from api.pagination import Finder, NewestFirstPagination, page_found
from api.permissions import Anyone, Creator, SignedIn
from api.refusals import refuses
from content import exceptions as rules
from content import selectors
from content.access import Viewer
from content.models.posts import Post
from content.serializers import (
    NewPostSerializer,
    OwnPostFilterSerializer,
    OwnPostSerializer,
    PostChangeSerializer,
    PostFilterSerializer,
    ScheduleSerializer,
    SearchSerializer,
    own_shapes,
    post_shapes,
    render_posts,
)
from content.services import lifecycle, posts

LONGEST_SEARCH = timedelta(seconds=3)
UNFIT = (
    rules.EmptyPostError,
    rules.MediaNotOwnedError,
    rules.MediaUnusableError,
    rules.TierUnknownError,
    rules.TierNotOwnedError,
    rules.TierArchivedError,
    rules.TiersRequiredError,
    rules.TiersNotAllowedError,
    rules.PriceRequiredError,
    rules.PriceNotAllowedError,
    rules.PreviewNotInPostError,
    AmountOutOfRangeError,
    CurrencyNotSupportedError,
)
UNFIT_TO_COME_OUT = (rules.EmptyPostError, rules.MediaNotOwnedError, rules.MediaUnusableError)


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

    def page(self, queryset: QuerySet[Post], now: datetime, *finders: Finder) -> Response:
        """The page that the cursor asks for, of the whole queryset or of what is found in it."""
        found = page_found(self, queryset, *finders) if finders else self.paginate_queryset(queryset) or []
        return self.get_paginated_response(render_posts(found, self.viewer, now))


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
        found = selectors.listed_posts(self.viewer)
        if "creator" in query.validated_data:
            found = found.filter(creator_id=query.validated_data["creator"])
        return self.page(found, timezone.now())

    @extend_schema(operation_id="posts_create", request=NewPostSerializer, responses={201: OwnPostSerializer})
    @idempotent
    @refuses(*UNFIT, rules.PublishTimeError)
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

    @extend_schema(operation_id="own_posts_list", parameters=[OwnPostFilterSerializer], responses=own_shapes(many=True))
    def get(self, request: Request) -> Response:
        """List your own posts, drafts and withdrawn ones too, newest first."""
        query = OwnPostFilterSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        found = selectors.own_posts(self.viewer).filter(**query.validated_data)
        return self.page(found, timezone.now())


class FeedView(PostPageView):
    """What is new where one subscribes."""

    permissions = {"GET": SignedIn}
    pagination_class = NewestPublishedPagination

    @extend_schema(operation_id="feed_list", responses=post_shapes(many=True))
    def get(self, request: Request) -> Response:
        """List the posts of the creators you subscribe to, newest first."""
        now = timezone.now()
        return self.page(selectors.listed_posts(self.viewer), now, selectors.feed(self.viewer, now))


class TrendingView(PostPageView):
    """What readers answer to now."""

    permissions = {"GET": Anyone}
    pagination_class = HighestScorePagination

    @extend_schema(operation_id="posts_trending_list", responses=post_shapes(many=True))
    def get(self, request: Request) -> Response:
        """List the posts that are liked and talked about, the liveliest first."""
        return self.page(selectors.trending_posts(self.viewer), timezone.now())


class SearchView(PostPageView):
    """Posts by their words."""

    permissions = {"GET": Anyone}
    pagination_class = NewestPublishedPagination
    throttle_scope = "search"

    @extend_schema(operation_id="posts_search_list", parameters=[SearchSerializer], responses=post_shapes(many=True))
    @refuses(rules.SearchTooWideError)
    def get(self, request: Request) -> Response:
        """List the published posts with these words in what you may read of them, newest first.

        All the words as they are written; "a phrase", -without, or. Of a locked post what anyone sees is asked.
        """
        query = SearchSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        now = timezone.now()
        found = selectors.found_posts(query.validated_data["q"], self.viewer, now)
        with bounded(LONGEST_SEARCH, otherwise=rules.SearchTooWideError):
            return self.page(selectors.listed_posts(self.viewer), now, *found)


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

    @extend_schema(
        operation_id="posts_update", request=PostChangeSerializer, responses=own_shapes(), parameters=[IF_MATCH]
    )
    @refuses(*UNFIT)
    def patch(self, request: Request, post_id: UUID) -> Response:
        """Change the post that you have seen in the version named by If-Match."""
        version = required_version(request)
        body = PostChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        changes = dict(body.validated_data)
        post = posts.update_post(post_id=post_id, creator_id=self.user_id, version=version, fields=changes)  # type: ignore[arg-type]  # its names are the serializer's
        return rendered(post, self.viewer)

    @extend_schema(operation_id="posts_delete", responses={204: None})
    @refuses(rules.HasPurchasesError)
    def delete(self, request: Request, post_id: UUID) -> Response:
        """Delete a post that nobody has bought."""
        lifecycle.delete_post(post_id=post_id, creator_id=self.user_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class PublishView(PrivateView):
    """A draft comes out, a withdrawn post comes back."""

    permissions = {"POST": Creator}
    throttle_scope = "posts"

    @extend_schema(operation_id="posts_publish", request=None, responses=own_shapes())
    @refuses(rules.InvalidTransitionError, *UNFIT_TO_COME_OUT)
    def post(self, request: Request, post_id: UUID) -> Response:
        """Publish the post, or let it wait for its files."""
        return rendered(lifecycle.publish_post(post_id=post_id, creator_id=self.user_id), self.viewer)


class ScheduleView(PrivateView):
    """The time at which a post comes out by itself."""

    permissions = {"POST": Creator, "DELETE": Creator}
    throttle_scope = "posts"

    @extend_schema(operation_id="posts_schedule", request=ScheduleSerializer, responses=own_shapes())
    @refuses(rules.InvalidTransitionError, rules.PublishTimeError, *UNFIT_TO_COME_OUT)
    def post(self, request: Request, post_id: UUID) -> Response:
        """Let the post come out at a time, or change the time; files still in processing are waited for as well."""
        body = ScheduleSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        post = lifecycle.schedule_post(post_id=post_id, creator_id=self.user_id, **body.validated_data)
        return rendered(post, self.viewer)

    @extend_schema(operation_id="posts_unschedule", responses={200: own_shapes()})
    @refuses(rules.InvalidTransitionError)
    def delete(self, request: Request, post_id: UUID) -> Response:
        """Make the scheduled post a draft again."""
        return rendered(lifecycle.unschedule_post(post_id=post_id, creator_id=self.user_id), self.viewer)


class WithdrawView(PrivateView):
    """A published post goes off sale."""

    permissions = {"POST": Creator}
    throttle_scope = "posts"

    @extend_schema(operation_id="posts_withdraw", request=None, responses=own_shapes())
    @refuses(rules.InvalidTransitionError)
    def post(self, request: Request, post_id: UUID) -> Response:
        """Withdraw the post; who bought it goes on reading it."""
        return rendered(lifecycle.withdraw_post(post_id=post_id, creator_id=self.user_id), self.viewer)
