"""Content to look at; what may be done by hand goes through the services."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import Truncator

from api.admin import ReadOnlyAdmin
from content.events import DeletionReason
from content.models import (
    Comment,
    Entitlement,
    LikeSignal,
    MediaRef,
    Post,
    PostLike,
    PostMedia,
    PostTier,
    PostTip,
    PostTrend,
    TierRef,
)
from content.services.lifecycle import moderate_post, take_down_post
from eventbus.pages import act_on_each, asks_why

if TYPE_CHECKING:
    TabularInline = admin.TabularInline[Any, Any]
else:  # Django's own class takes no type arguments
    TabularInline = admin.TabularInline


class ReadOnlyInline(TabularInline):
    """Rows that only services write."""

    extra = 0
    can_delete = False
    show_change_link = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


class PostTierInline(ReadOnlyInline):
    """The tiers that open a post."""

    model = PostTier


class PostMediaInline(ReadOnlyInline):
    """The files of a post."""

    model = PostMedia


@admin.register(Post)
class PostAdmin(ReadOnlyAdmin):
    """Posts; moderators hide, clear or take down."""

    list_display = [
        "id",
        "creator_id",
        "title",
        "status",
        "moderation",
        "visibility",
        "like_count",
        "publish_at",
        "published_at",
    ]
    list_filter = ["status", "moderation", "visibility", "content_type"]
    links: ClassVar[dict[str, str]] = {"creator_id": "accounts_user"}
    money: ClassVar[dict[str, str]] = {"price_amount": "price_currency"}
    search_fields = ["title"]
    search_ids: ClassVar[list[str]] = ["id", "creator_id"]
    date_hierarchy = "created_at"
    ordering = ["-created_at", "-id"]
    inlines = [PostTierInline, PostMediaInline]
    actions = ["hide", "clear", "take_down"]

    def has_moderate_permission(self, request: HttpRequest) -> bool:
        """Whether this member of staff may act on posts."""
        return request.user.has_perm("content.change_post")

    @admin.action(description="Hide from everyone but the creator", permissions=["moderate"])
    @asks_why("Readers, also those who paid, no longer see these posts; clearing them brings them back.")
    def hide(self, request: HttpRequest, queryset: QuerySet[Post], reason: str) -> None:
        """Hide the chosen posts."""

        def hidden(post: Post) -> bool:
            after = moderate_post(post_id=post.pk, moderation=Post.Moderation.HIDDEN)
            return after.moderation != post.moderation

        act_on_each(self, request, queryset, hidden, done="Hidden", reason=reason)

    @admin.action(description="Clear of suspicion", permissions=["moderate"])
    def clear(self, request: HttpRequest, queryset: QuerySet[Post]) -> None:
        """Let the chosen posts be seen again."""

        def cleared(post: Post) -> bool:
            after = moderate_post(post_id=post.pk, moderation=Post.Moderation.CLEAR)
            return after.moderation != post.moderation

        act_on_each(self, request, queryset, cleared, done="Cleared", reason="")

    @admin.action(description="Delete for breaking the rules, and refund the buyers", permissions=["moderate"])
    @asks_why("These posts are deleted for ever, and everybody who bought one is refunded. This cannot be undone.")
    def take_down(self, request: HttpRequest, queryset: QuerySet[Post], reason: str) -> None:
        """Delete the chosen posts for ever."""

        def taken_down(post: Post) -> bool:
            after = take_down_post(post_id=post.pk, reason=DeletionReason.POLICY)
            return after.status != post.status

        act_on_each(self, request, queryset, taken_down, done="Taken down", reason=reason)


@admin.register(Comment)
class CommentAdmin(ReadOnlyAdmin):
    """What readers wrote."""

    list_display = ["id", "words", "post_id", "author_id", "status", "reply_count", "created_at"]
    list_filter = ["status", "created_at"]
    links: ClassVar[dict[str, str]] = {
        "post_id": "content_post",
        "author_id": "accounts_user",
        "parent": "content_comment",
    }
    search_ids: ClassVar[list[str]] = ["id", "post_id", "author_id", "parent_id"]
    ordering = ["-created_at", "-id"]

    @admin.display(description="words")
    def words(self, comment: Comment) -> str:
        """How it begins."""
        return Truncator(comment.body).chars(60) or "-"


@admin.register(PostLike)
class PostLikeAdmin(ReadOnlyAdmin):
    """Who likes what."""

    list_display = ["id", "post_id", "user_id", "active", "revision", "updated_at"]
    ordering = ["-id"]
    links: ClassVar[dict[str, str]] = {"post_id": "content_post", "user_id": "accounts_user"}
    list_filter = ["active"]
    search_ids: ClassVar[list[str]] = ["post_id", "user_id"]


@admin.register(Entitlement)
class EntitlementAdmin(ReadOnlyAdmin):
    """Who may read what, as subscriptions and payments told it."""

    list_display = ["id", "kind", "user_id", "creator_id", "post_id", "valid_from", "valid_until", "revoked_at"]
    links: ClassVar[dict[str, str]] = {
        "user_id": "accounts_user",
        "creator_id": "accounts_user",
        "tier_id": "subscriptions_tier",
        "post_id": "content_post",
    }
    list_filter = ["kind"]
    search_ids: ClassVar[list[str]] = ["source_id", "user_id", "creator_id", "post_id"]
    ordering = ["-updated_at"]


@admin.register(TierRef)
class TierRefAdmin(ReadOnlyAdmin):
    """Tiers as subscriptions told them."""

    list_display = ["tier_id", "creator_id", "name", "status", "source_sequence"]
    list_filter = ["status"]
    links: ClassVar[dict[str, str]] = {"creator_id": "accounts_user"}
    search_fields = ["name"]
    search_ids: ClassVar[list[str]] = ["tier_id", "creator_id"]


@admin.register(MediaRef)
class MediaRefAdmin(ReadOnlyAdmin):
    """Files as media told them."""

    list_display = ["media_id", "owner_id", "kind", "status", "source_sequence"]
    list_filter = ["status", "kind"]
    links: ClassVar[dict[str, str]] = {"owner_id": "accounts_user"}
    search_ids: ClassVar[list[str]] = ["media_id", "owner_id"]


@admin.register(PostTip)
class PostTipAdmin(ReadOnlyAdmin):
    """Tips given for posts, as payments told them."""

    list_display = ["tip_id", "post_id", "sender_id", "amount", "refunded_amount"]
    links: ClassVar[dict[str, str]] = {"post_id": "content_post", "sender_id": "accounts_user"}
    money: ClassVar[dict[str, str]] = {"amount": "currency", "refunded_amount": "currency"}
    list_filter = ["currency"]
    search_ids: ClassVar[list[str]] = ["tip_id", "post_id", "sender_id"]


@admin.register(LikeSignal)
class LikeSignalAdmin(ReadOnlyAdmin):
    """The likes that trending counts."""

    list_display = ["id", "post_id", "user_id", "active", "revision"]
    links: ClassVar[dict[str, str]] = {"post_id": "content_post", "user_id": "accounts_user"}
    list_filter = ["active"]
    search_ids: ClassVar[list[str]] = ["post_id", "user_id"]


@admin.register(PostTrend)
class PostTrendAdmin(ReadOnlyAdmin):
    """How posts stand."""

    list_display = ["post_id", "score", "is_stale"]
    list_filter = ["is_stale"]
    search_ids: ClassVar[list[str]] = ["post_id"]
    ordering = ["-score"]
