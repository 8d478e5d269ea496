"""What content takes and gives over HTTP: a post in full, locked, or as its creator sees it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers

from accounts.selectors import display_names
from api.serializers import ClosedSerializer, MomentField, MoneyField, PlainTextField, StrictBooleanField
from content import selectors
from content.access import Viewer
from content.models.posts import Post
from content.models.projections import MediaRef
from content.models.reactions import Comment
from content.models.reports import PostReport

MAX_TIERS = 20
MAX_MEDIA = 20


class DistinctIdsField(serializers.ListField):
    """Ids, each once, in the order given."""

    child = serializers.UUIDField()
    default_error_messages = {"repeated": "An id stands twice in the list."}

    def to_internal_value(self, data: Any) -> list[UUID]:
        """The ids."""
        ids: list[UUID] = super().to_internal_value(data)
        if len(set(ids)) < len(ids):
            self.fail("repeated")
        return ids


class PostChangeSerializer(ClosedSerializer):
    """What a creator may change of a post."""

    title = PlainTextField(max_length=120, allow_blank=True, required=False)
    title_is_public = StrictBooleanField(required=False)
    body = PlainTextField(max_length=10_000, multiline=True, allow_blank=True, required=False)
    teaser = PlainTextField(max_length=280, multiline=True, allow_blank=True, required=False)
    visibility = serializers.ChoiceField(choices=Post.Visibility.choices, required=False)
    price = MoneyField(required=False, allow_null=True)
    tier_ids = DistinctIdsField(required=False, max_length=MAX_TIERS)
    media_ids = DistinctIdsField(required=False, max_length=MAX_MEDIA)
    preview_media_ids = DistinctIdsField(required=False, max_length=MAX_MEDIA)
    comments_enabled = StrictBooleanField(required=False)


class NewPostSerializer(PostChangeSerializer):
    """A new post; a draft unless `publish` or `publish_at`."""

    visibility = serializers.ChoiceField(choices=Post.Visibility.choices)
    publish = StrictBooleanField(default=False)
    publish_at = MomentField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Now or later, not both."""
        if attrs["publish"] and "publish_at" in attrs:
            raise serializers.ValidationError({"publish_at": "Name it without publish: the post comes out then."})
        return attrs


class ScheduleSerializer(ClosedSerializer):
    """When a post shall come out."""

    publish_at = MomentField()


class PostFilterSerializer(serializers.Serializer[Any]):
    """Which published posts to list."""

    creator = serializers.UUIDField(required=False)


class SearchSerializer(serializers.Serializer[Any]):
    """What to look for."""

    q = PlainTextField(max_length=100, min_length=2)

    def validate_q(self, words: str) -> str:
        """Something must be left to look for when the signs are gone."""
        if not any(sign.isalnum() for sign in words):
            raise serializers.ValidationError("Name a word to look for.")
        return words


class OwnPostFilterSerializer(serializers.Serializer[Any]):
    """Which of one's own posts to list."""

    status = serializers.ChoiceField(
        choices=[choice for choice in Post.Status.choices if choice[0] != Post.Status.DELETED], required=False
    )


class TierSerializer(serializers.Serializer[Any]):
    """A tier that opens a post."""

    id = serializers.UUIDField(source="tier_id")
    name = serializers.CharField()


class MediaSerializer(serializers.Serializer[MediaRef]):
    """A file of a post; its bytes are behind the address that `media/{id}/url` gives."""

    id = serializers.UUIDField(source="media_id")
    kind = serializers.ChoiceField(choices=MediaRef.Kind.choices)
    status = serializers.ChoiceField(choices=MediaRef.Status.choices)
    width = serializers.IntegerField(allow_null=True)
    height = serializers.IntegerField(allow_null=True)
    duration_ms = serializers.IntegerField(allow_null=True)
    variants = serializers.ListField(child=serializers.CharField())


class LockedPostSerializer(serializers.Serializer[Post]):
    """What anyone may know of a published post."""

    is_locked = serializers.SerializerMethodField()
    id = serializers.UUIDField()
    creator_id = serializers.UUIDField()
    title = serializers.SerializerMethodField()
    teaser = serializers.CharField()
    content_type = serializers.ChoiceField(choices=Post.ContentType.choices)
    visibility = serializers.ChoiceField(choices=Post.Visibility.choices)
    price = MoneyField(source="*", amount="price_amount", currency="price_currency", allow_null=True)
    tiers = TierSerializer(many=True)
    media_kinds = serializers.SerializerMethodField()
    placeholder = serializers.CharField(
        allow_null=True, help_text="A `data:` address: the first picture, blurred, at most 32 pixels a side."
    )
    previews = MediaSerializer(many=True)
    like_count = serializers.IntegerField()
    comment_count = serializers.IntegerField()
    published_at = serializers.DateTimeField(allow_null=True)

    def get_is_locked(self, post: Post) -> bool:
        """Locked in this shape."""
        return True

    def get_title(self, post: Post) -> str | None:
        """The title, unless the creator keeps it for readers."""
        return post.title if post.title_is_public else None

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "integer"}})
    def get_media_kinds(self, post: Post) -> dict[str, int]:
        """How many files of each kind it has."""
        kinds = [media.kind for media in post.media]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


class FullPostSerializer(LockedPostSerializer):
    """What a reader with access sees."""

    body = serializers.CharField()
    media = MediaSerializer(many=True)
    comments_enabled = serializers.BooleanField()
    liked = serializers.SerializerMethodField()
    status = serializers.ChoiceField(choices=Post.Status.choices)

    def get_is_locked(self, post: Post) -> bool:
        """Open in this shape."""
        return False

    def get_title(self, post: Post) -> str | None:
        """The title."""
        return post.title

    def get_liked(self, post: Post) -> bool:
        """Whether the viewer likes it."""
        return post.pk in self.context["liked_ids"]


class OwnPostSerializer(FullPostSerializer):
    """What its creator sees."""

    title_is_public = serializers.BooleanField()
    moderation = serializers.ChoiceField(choices=Post.Moderation.choices)
    hold_reason = serializers.ChoiceField(choices=Post.HoldReason.choices, allow_null=True)
    publish_at = serializers.DateTimeField(allow_null=True)
    price_version = serializers.IntegerField()
    tips = serializers.SerializerMethodField()
    version = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    @extend_schema_field(serializers.ListField(child=MoneyField()))
    def get_tips(self, post: Post) -> list[dict[str, Any]]:
        """What it was tipped and kept, by currency."""
        return [{"amount": money.amount, "currency": money.currency} for money in self.context["tips"].get(post.pk, [])]


class HiddenPostSerializer(LockedPostSerializer):
    """What its creator sees of a post that moderators hid: that it is there, and nothing of what it holds."""

    status = serializers.ChoiceField(choices=Post.Status.choices)
    moderation = serializers.ChoiceField(choices=Post.Moderation.choices)
    version = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def get_title(self, post: Post) -> str | None:
        """The title, by which its creator knows it."""
        return post.title


def post_shapes(*, many: bool = False) -> PolymorphicProxySerializer:
    """The shapes of a post, for the API's description."""
    return PolymorphicProxySerializer(
        component_name="Post",
        serializers=[LockedPostSerializer, FullPostSerializer, OwnPostSerializer, HiddenPostSerializer],
        resource_type_field_name=None,
        many=many,
    )


def own_shapes(*, many: bool = False) -> PolymorphicProxySerializer:
    """The shapes of one's own post, for the API's description."""
    return PolymorphicProxySerializer(
        component_name="OwnOrHiddenPost",
        serializers=[OwnPostSerializer, HiddenPostSerializer],
        resource_type_field_name=None,
        many=many,
    )


def render_posts(posts: Sequence[Post], viewer: Viewer, now: datetime) -> list[dict[str, Any]]:
    """Each post in the shape that this viewer may see; as many queries for a page as for one."""
    own = [post.pk for post in posts if post.creator_id == viewer.user_id]
    readable = selectors.readable_ids(viewer, posts, now)
    context = {
        "liked_ids": selectors.liked_ids(viewer, [post for post in posts if post.pk in readable]),
        "tips": selectors.tip_totals(own) if own else {},
    }

    def shape(post: Post) -> type[LockedPostSerializer]:
        if post.pk in own:
            return OwnPostSerializer if post.pk in readable else HiddenPostSerializer
        return FullPostSerializer if post.pk in readable else LockedPostSerializer

    # One of each shape for the whole page: a serializer copies all its fields before it renders anything.
    shapes = {kind: kind(context=context) for kind in {shape(post) for post in posts}}
    return [shapes[shape(post)].to_representation(post) for post in posts]


class NewReportSerializer(ClosedSerializer):
    """What is wrong with a post."""

    reason = serializers.ChoiceField(choices=PostReport.Reason.choices)
    comment = PlainTextField(max_length=1000, multiline=True, allow_blank=True, default="")


class ReportSerializer(serializers.Serializer[PostReport]):
    """One's own report; what becomes of it is not told."""

    id = serializers.UUIDField()
    post_id = serializers.UUIDField()
    reason = serializers.ChoiceField(choices=PostReport.Reason.choices)
    comment = serializers.CharField()
    created_at = serializers.DateTimeField()


class LikeSerializer(serializers.Serializer[Any]):
    """Whether the viewer likes the post, and how many do."""

    liked = serializers.BooleanField()
    like_count = serializers.IntegerField()


class CommentTextSerializer(ClosedSerializer):
    """The words of a comment."""

    body = PlainTextField(max_length=2000, multiline=True)


class NewCommentSerializer(CommentTextSerializer):
    """A new comment, or an answer to the comment `parent_id`."""

    parent_id = serializers.UUIDField(required=False, allow_null=True, default=None)


class AuthorSerializer(serializers.Serializer[Any]):
    """Who wrote a comment."""

    id = serializers.UUIDField()
    display_name = serializers.CharField()


class CommentSerializer(serializers.Serializer[Comment]):
    """A comment; a deleted or hidden one that was answered stays without author and words."""

    id = serializers.UUIDField()
    post_id = serializers.UUIDField()
    parent_id = serializers.UUIDField(allow_null=True)
    author = serializers.SerializerMethodField()
    body = serializers.SerializerMethodField()
    is_deleted = serializers.SerializerMethodField()
    reply_count = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    edited_at = serializers.DateTimeField(allow_null=True)

    @extend_schema_field(AuthorSerializer(allow_null=True))
    def get_author(self, comment: Comment) -> dict[str, str] | None:
        """The author."""
        if self.get_is_deleted(comment):
            return None
        names: dict[UUID, str] = self.context["names"]
        return {"id": str(comment.author_id), "display_name": names.get(comment.author_id, "")}

    def get_body(self, comment: Comment) -> str | None:
        """The words."""
        return None if self.get_is_deleted(comment) else comment.body

    def get_is_deleted(self, comment: Comment) -> bool:
        """Whether the words are gone; that moderators hid them is not told apart."""
        return comment.status != Comment.Status.PUBLISHED


def render_comments(comments: Sequence[Comment]) -> list[dict[str, Any]]:
    """The comments with their authors' names, read in one query."""
    names = display_names(comment.author_id for comment in comments)
    serializer = CommentSerializer(context={"names": names})
    return [serializer.to_representation(comment) for comment in comments]


class MediaUrlQuerySerializer(serializers.Serializer[Any]):
    """Which rendition of a file is wanted."""

    variant = serializers.CharField(max_length=40)


class MediaUrlSerializer(serializers.Serializer[Any]):
    """An address that opens for a short time."""

    url = serializers.CharField()
    expires_at = serializers.DateTimeField()
