"""Content to look at; what may be done by hand goes through the services."""

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, cast
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.text import Truncator

from api.admin import ReadOnlyAdmin
from api.signed_urls import sign
from content.admin_filters import OpenReasonFilter
from content.events import DeletionReason
from content.models.posts import Post, PostMedia, PostTier
from content.models.projections import Entitlement, LikeSignal, MediaRef, PostTip, PostTrend, TierRef
from content.models.reactions import Comment, PostLike
from content.models.reports import ModerationEntry, PostReport, ReportedPost
from content.selectors import reported_posts
from content.services.lifecycle import take_down_post
from content.services.moderation import hide_comment, moderate_post, reinstate_comment
from eventbus.pages import act_on_each, asks_why

if TYPE_CHECKING:
    TabularInline = admin.TabularInline[Any, Any]
else:  # Django's own class takes no type arguments
    TabularInline = admin.TabularInline


PICTURES = ("thumb_320", "poster")  # renditions that are small enough for a list, the best first
PICTURE_LIFETIME = timedelta(minutes=5)


def actor_of(request: HttpRequest) -> UUID:
    """Who acts; staff only come here."""
    if not request.user.is_authenticated:
        raise PermissionDenied
    return request.user.pk


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


class ModerationEntryInline(ReadOnlyInline):
    """What was decided about a post and the comments under it."""

    model = ModerationEntry
    fields = ("created_at", "action", "comment_id", "actor_id", "reason")
    readonly_fields = fields
    ordering = ("-created_at",)


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
    exclude = ["all_words", "public_words"]  # what a post is found by says nothing to a person
    search_fields = ["title"]
    search_ids: ClassVar[list[str]] = ["id", "creator_id"]
    date_hierarchy = "created_at"
    ordering = ["-created_at", "-id"]
    inlines = [PostTierInline, PostMediaInline, ModerationEntryInline]
    actions = ["hide", "clear", "take_down"]

    def has_moderate_permission(self, request: HttpRequest) -> bool:
        """Whether this member of staff may act on posts."""
        return request.user.has_perm("content.change_post")

    @admin.action(description="Hide", permissions=["moderate"])
    @asks_why(
        "Readers, also those who paid, no longer see these posts, and creators only that they exist; to undo it, clear."
    )
    def hide(self, request: HttpRequest, queryset: QuerySet[Post], reason: str) -> None:
        """Hide the chosen posts."""
        self.decide(request, queryset, Post.Moderation.HIDDEN, done="Hidden", reason=reason)

    @admin.action(description="Clear, and dismiss what was reported", permissions=["moderate"])
    @asks_why("Hidden posts can be seen again as their creators set them; what was reported of these posts is settled.")
    def clear(self, request: HttpRequest, queryset: QuerySet[Post], reason: str) -> None:
        """Let the chosen posts be seen again, and settle their reports."""
        self.decide(request, queryset, Post.Moderation.CLEAR, done="Cleared", reason=reason)

    def decide(
        self, request: HttpRequest, queryset: QuerySet[Post], moderation: str, *, done: str, reason: str
    ) -> None:
        """Set the moderators' word on each of the chosen posts."""
        actor_id = actor_of(request)

        def decided(post: Post) -> bool:
            return moderate_post(post_id=post.pk, moderation=moderation, actor_id=actor_id, reason=reason)

        act_on_each(self, request, queryset, decided, done=done, reason=reason)

    @admin.action(description="Delete for breaking the rules, and refund the buyers", permissions=["moderate"])
    @asks_why("These posts are deleted for ever, and everybody who bought one is refunded. This cannot be undone.")
    def take_down(self, request: HttpRequest, queryset: QuerySet[Post], reason: str) -> None:
        """Delete the chosen posts for ever."""

        def taken_down(post: Post) -> bool:
            after = take_down_post(
                post_id=post.pk, reason=DeletionReason.POLICY, actor_id=actor_of(request), note=reason
            )
            return after.status != post.status

        act_on_each(self, request, queryset, taken_down, done="Taken down", reason=reason)


class PostReportInline(ReadOnlyInline):
    """What readers reported of a post."""

    model = PostReport
    fields = ("created_at", "reason", "comment", "reporter_id", "counts", "decision", "settled_at")
    readonly_fields = fields
    ordering = ("-created_at",)


@admin.register(ReportedPost)
class ReportedPostAdmin(PostAdmin):
    """The moderators' queue: posts with reports that nobody has decided about, the most reported first."""

    list_display = [
        "id",
        "picture",
        "title",
        "moderation",
        "reporters",
        "counting",
        "reasons",
        "reported_at",
        "creator_id",
    ]
    list_filter = ["moderation", OpenReasonFilter, "visibility"]
    inlines = [PostReportInline, ModerationEntryInline, PostTierInline, PostMediaInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Post]:
        """The posts that wait, with what the list shows of them."""
        return reported_posts().prefetch_related("reports", "post_media__media")

    def get_ordering(self, request: HttpRequest) -> Any:
        """By what the queue counts, which no column holds."""
        return ["-counting", "-reporters", "id"]

    @admin.display(description="first file")
    def picture(self, post: ReportedPost) -> str:
        """The smallest rendition of its first file that has one."""
        for row in post.post_media.all():
            for variant in PICTURES:
                if row.media.is_ready and variant in row.media.variants:
                    signed = sign(media_id=row.media_id, variant=variant, viewer_id=None, ttl=PICTURE_LIFETIME)
                    return format_html('<img src="{}" alt="" height="64" loading="lazy">', signed.url)
        return "-"

    @admin.display(description="reporters", ordering="reporters")
    def reporters(self, post: Any) -> int:
        """How many readers' reports are open."""
        return int(post.reporters)

    @admin.display(description="that count", ordering="counting")
    def counting(self, post: Any) -> int:
        """How many of them had an account that was old enough."""
        return int(post.counting)

    @admin.display(description="first reported", ordering="reported_at")
    def reported_at(self, post: Any) -> datetime:
        """Since when it waits."""
        return cast("datetime", post.reported_at)

    @admin.display(description="reasons")
    def reasons(self, post: ReportedPost) -> str:
        """What is said to be wrong, the most frequent first."""
        counted = Counter(report.get_reason_display() for report in post.reports.all() if report.settled_at is None)
        return ", ".join(f"{reason} ({count})" for reason, count in counted.most_common())


@admin.register(ModerationEntry)
class ModerationEntryAdmin(ReadOnlyAdmin):
    """Who decided what, and why."""

    list_display = ["id", "post_id", "comment_id", "action", "actor_id", "reason", "created_at"]
    list_filter = ["action", "created_at"]
    links: ClassVar[dict[str, str]] = {
        "post_id": "content_post",
        "comment_id": "content_comment",
        "actor_id": "accounts_user",
    }
    search_ids: ClassVar[list[str]] = ["id", "post_id", "comment_id", "actor_id"]
    ordering = ["-created_at", "-id"]


@admin.register(PostReport)
class PostReportAdmin(ReadOnlyAdmin):
    """Reports, decided or not."""

    list_display = ["id", "post_id", "reason", "counts", "reporter_id", "created_at", "decision"]
    list_filter = ["reason", "decision", "counts"]
    links: ClassVar[dict[str, str]] = {"post_id": "content_post", "reporter_id": "accounts_user"}
    search_ids: ClassVar[list[str]] = ["id", "post_id", "reporter_id"]
    ordering = ["-created_at", "-id"]


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
    actions = ["hide", "reinstate"]

    def has_moderate_permission(self, request: HttpRequest) -> bool:
        """Whether this member of staff may act on comments."""
        return request.user.has_perm("content.change_comment")

    @admin.action(description="Hide", permissions=["moderate"])
    @asks_why("Nobody sees these comments any more, and they are not counted; to undo it, reinstate.")
    def hide(self, request: HttpRequest, queryset: QuerySet[Comment], reason: str) -> None:
        """Hide the chosen comments."""

        def hidden(comment: Comment) -> bool:
            after = hide_comment(comment_id=comment.pk, actor_id=actor_of(request), reason=reason)
            return after.status != comment.status

        act_on_each(self, request, queryset, hidden, done="Hidden", reason=reason)

    @admin.action(description="Reinstate", permissions=["moderate"])
    @asks_why("Hidden comments are shown and counted again, as they were.")
    def reinstate(self, request: HttpRequest, queryset: QuerySet[Comment], reason: str) -> None:
        """Bring the chosen comments back."""

        def reinstated(comment: Comment) -> bool:
            after = reinstate_comment(comment_id=comment.pk, actor_id=actor_of(request), reason=reason)
            return after.status != comment.status

        act_on_each(self, request, queryset, reinstated, done="Reinstated", reason=reason)

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
