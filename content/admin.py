"""Content to look at; what may be done by hand goes through the services."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

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

    list_display = ["id", "creator_id", "title", "status", "moderation", "visibility", "like_count", "published_at"]
    list_filter = ["status", "moderation", "visibility", "content_type"]
    search_fields = ["=id", "=creator_id", "title"]
    date_hierarchy = "created_at"
    ordering = ["-created_at", "-id"]
    inlines = [PostTierInline, PostMediaInline]
    actions = ["hide", "clear", "take_down"]
    show_full_result_count = False

    def has_moderate_permission(self, request: HttpRequest) -> bool:
        """Whether this member of staff may act on posts."""
        return request.user.has_perm("content.change_post")

    @admin.action(description="Hide from everyone but the creator", permissions=["moderate"])
    def hide(self, request: HttpRequest, queryset: QuerySet[Post]) -> None:
        """Hide the chosen posts."""
        for post in queryset:
            moderate_post(post_id=post.pk, moderation=Post.Moderation.HIDDEN)

    @admin.action(description="Clear of suspicion", permissions=["moderate"])
    def clear(self, request: HttpRequest, queryset: QuerySet[Post]) -> None:
        """Let the chosen posts be seen again."""
        for post in queryset:
            moderate_post(post_id=post.pk, moderation=Post.Moderation.CLEAR)

    @admin.action(description="Delete for breaking the rules, and refund the buyers", permissions=["moderate"])
    def take_down(self, request: HttpRequest, queryset: QuerySet[Post]) -> None:
        """Delete the chosen posts for ever."""
        for post in queryset:
            take_down_post(post_id=post.pk, reason=DeletionReason.POLICY)


@admin.register(Comment)
class CommentAdmin(ReadOnlyAdmin):
    """What readers wrote."""

    list_display = ["id", "post_id", "author_id", "status", "reply_count", "created_at"]
    list_filter = ["status"]
    search_fields = ["=id", "=post__id", "=author_id"]
    ordering = ["-created_at", "-id"]
    show_full_result_count = False


@admin.register(PostLike)
class PostLikeAdmin(ReadOnlyAdmin):
    """Who likes what."""

    list_display = ["post_id", "user_id", "active", "revision", "updated_at"]
    list_filter = ["active"]
    search_fields = ["=post__id", "=user_id"]
    show_full_result_count = False


@admin.register(Entitlement)
class EntitlementAdmin(ReadOnlyAdmin):
    """Who may read what, as subscriptions and payments told it."""

    list_display = ["kind", "source_id", "user_id", "creator_id", "post_id", "valid_from", "valid_until", "revoked_at"]
    list_filter = ["kind"]
    search_fields = ["=source_id", "=user_id", "=creator_id", "=post_id"]
    ordering = ["-updated_at"]
    show_full_result_count = False


@admin.register(TierRef)
class TierRefAdmin(ReadOnlyAdmin):
    """Tiers as subscriptions told them."""

    list_display = ["tier_id", "creator_id", "name", "status", "source_sequence"]
    list_filter = ["status"]
    search_fields = ["=tier_id", "=creator_id", "name"]


@admin.register(MediaRef)
class MediaRefAdmin(ReadOnlyAdmin):
    """Files as media told them."""

    list_display = ["media_id", "owner_id", "kind", "status", "source_sequence"]
    list_filter = ["status", "kind"]
    search_fields = ["=media_id", "=owner_id"]
    show_full_result_count = False


@admin.register(PostTip)
class PostTipAdmin(ReadOnlyAdmin):
    """Tips given for posts, as payments told them."""

    list_display = ["tip_id", "post_id", "sender_id", "amount", "currency", "refunded_amount"]
    list_filter = ["currency"]
    search_fields = ["=tip_id", "=post_id", "=sender_id"]
    show_full_result_count = False


@admin.register(LikeSignal)
class LikeSignalAdmin(ReadOnlyAdmin):
    """The likes that trending counts."""

    list_display = ["post_id", "user_id", "active", "revision"]
    list_filter = ["active"]
    search_fields = ["=post_id", "=user_id"]
    show_full_result_count = False


@admin.register(PostTrend)
class PostTrendAdmin(ReadOnlyAdmin):
    """How posts stand."""

    list_display = ["post_id", "score", "is_stale"]
    list_filter = ["is_stale"]
    search_fields = ["=post__id"]
    ordering = ["-score"]
    show_full_result_count = False
