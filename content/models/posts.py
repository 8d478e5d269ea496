"""Posts, and who may see them."""

from datetime import datetime
from typing import ClassVar, Self, cast
from uuid import UUID

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import Exists, OuterRef, Q, TextChoices
from uuid_utils.compat import uuid7

from accounts import selectors as accounts
from content.access import Viewer
from content.models.projections import Entitlement, MediaRef, TierRef
from content.words import ALL_WORDS, PUBLIC_WORDS, query_of

PUBLISHED = Q(status="published") & ~Q(moderation="hidden")


class PostQuerySet(models.QuerySet["Post"]):
    """Questions about posts; what a viewer may see starts here."""

    def of_creator(self, creator_id: UUID) -> Self:
        """The creator's own posts but the deleted ones."""
        return self.filter(creator_id=creator_id).exclude(status=Post.Status.DELETED)

    def listed_for(self, viewer: Viewer) -> Self:
        """What stands in this viewer's lists, in full or locked: nothing of whom they block, or who blocks them."""
        return self.filter(_listed(viewer))

    def due(self, now: datetime) -> Self:
        """The scheduled posts whose time has come."""
        return self.filter(status=Post.Status.SCHEDULED, publish_at__lte=now)

    def visible_to(self, viewer: Viewer, now: datetime) -> Self:
        """The posts that the viewer may read in full: the twin of `access.can_view`."""
        return self.filter(_visible(viewer, now))

    def known_to(self, viewer: Viewer, now: datetime) -> Self:
        """The posts that the viewer may know of, if only locked or as a stub; any other is not there."""
        known = _listed(viewer) | _visible(viewer, now)
        return self.filter(known if viewer.user_id is None else known | _own(viewer))

    def locked_to(self, viewer: Viewer, now: datetime) -> Self:
        """The posts that the viewer may not read in full."""
        return self.filter(~_visible(viewer, now))

    def with_words(self, words: str) -> Self:
        """Those that hold the words."""
        return self.filter(all_words=query_of(words))

    def with_public_words(self, words: str) -> Self:
        """Those that hold the words in what anyone sees: the rest is not asked, not by -without either."""
        return self.filter(public_words=query_of(words))

    def locked(self) -> Self:
        """Lock the rows, leaving likes and comments free to point at them."""
        return self.order_by("pk").select_for_update(of=("self",), no_key=True)

    def locked_if_free(self) -> Self:
        """Lock the rows that nobody else works on, and leave the others out."""
        return self.order_by("pk").select_for_update(of=("self",), no_key=True, skip_locked=True)

    def with_parts(self) -> Self:
        """With tiers and media, so that a page of posts costs as many queries as one."""
        media = models.Prefetch("post_media", PostMedia.objects.select_related("media"))
        tiers = models.Prefetch("post_tiers", PostTier.objects.select_related("tier"))
        return self.prefetch_related(media, tiers)


def _visible(viewer: Viewer, now: datetime) -> Q:
    out = Q(status__in=Post.OUT)
    readable = Q(status=Post.Status.PUBLISHED, visibility=Post.Visibility.PUBLIC)
    if viewer.user_id is not None:
        readable |= out & _held(viewer, now) | _own(viewer)
    visible = readable & ~Q(moderation=Post.Moderation.HIDDEN) & _unblocked(viewer)
    if viewer.is_moderator:
        visible |= out & ~Q(moderation=Post.Moderation.CLEAR)
    return visible


def _listed(viewer: Viewer) -> Q:
    return PUBLISHED & _unblocked(viewer)


def _unblocked(viewer: Viewer) -> Q:
    if viewer.user_id is None or viewer.is_moderator:
        return Q()
    return ~Q(creator_id__in=accounts.blocked_with(viewer.user_id))


def _own(viewer: Viewer) -> Q:
    return Q(creator_id=viewer.user_id) & ~Q(status=Post.Status.DELETED)


def _held(viewer: Viewer, now: datetime) -> Q:
    live = Entitlement.objects.live(now).of_reader(viewer)
    subscribed = live.subscriptions_to(OuterRef("creator_id"))
    allowed = PostTier.objects.filter(post=OuterRef(OuterRef("pk"))).values("tier_id")
    included = subscribed.filter(tier_id__in=allowed)
    published = Q(status=Post.Status.PUBLISHED)
    return (
        Exists(live.purchases_of(OuterRef("pk")))
        | (published & Q(visibility=Post.Visibility.SUBSCRIBERS) & Exists(subscribed))
        | (published & Q(visibility__in=Post.BY_TIER) & Exists(included))
        | (
            Q(status=Post.Status.WITHDRAWN, visibility=Post.Visibility.PPV)
            & Exists(included.filter(valid_from__lte=OuterRef("withdrawn_at")))
        )
    )


_PostManager = models.Manager.from_queryset(PostQuerySet)


class PostManager(_PostManager["Post"]):
    """Posts without the words that they are found by, which nobody reads."""

    def get_queryset(self) -> PostQuerySet:
        """Every question begins here."""
        return cast("PostQuerySet", super().get_queryset().defer("all_words", "public_words"))


class Post(models.Model):
    """What a creator publishes; `version` counts its changes, `sequence` its events."""

    class Status(TextChoices):
        DRAFT = "draft", "draft"
        AWAITING_MEDIA = "awaiting_media", "awaiting media"
        SCHEDULED = "scheduled", "scheduled"
        PUBLISHED = "published", "published"
        WITHDRAWN = "withdrawn", "withdrawn"
        DELETED = "deleted", "deleted"

    class Moderation(TextChoices):
        CLEAR = "clear", "clear"
        FLAGGED = "flagged", "flagged"
        HIDDEN = "hidden", "hidden"

    class ContentType(TextChoices):
        TEXT = "text", "text"
        IMAGE = "image", "image"
        VIDEO = "video", "video"
        AUDIO = "audio", "audio"
        MIXED = "mixed", "mixed"

    class Visibility(TextChoices):
        PUBLIC = "public", "public"
        SUBSCRIBERS = "subscribers", "subscribers"
        TIERS = "tiers", "tiers"
        PPV = "ppv", "sold singly"

    class HoldReason(TextChoices):
        MEDIA_REJECTED = "media_rejected", "a file was refused"
        MEDIA_FAILED = "media_failed", "a file could not be processed"
        MEDIA_DELETED = "media_deleted", "its only file was deleted"

    OUT = (Status.PUBLISHED, Status.WITHDRAWN)
    COMING = (Status.AWAITING_MEDIA, Status.SCHEDULED)
    BY_TIER = (Visibility.TIERS, Visibility.PPV)
    CHANGEABLE = (
        "status",
        "moderation",
        "content_type",
        "title",
        "title_is_public",
        "body",
        "teaser",
        "visibility",
        "price_amount",
        "price_currency",
        "price_version",
        "publish_at",
        "published_at",
        "withdrawn_at",
        "deleted_at",
        "hold_reason",
        "comments_enabled",
        "sequence",
        "version",
        "updated_at",
    )

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    creator_id = models.UUIDField()
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.DRAFT)
    moderation = models.CharField(max_length=10, choices=Moderation.choices, default=Moderation.CLEAR)
    content_type = models.CharField(max_length=10, choices=ContentType.choices, default=ContentType.TEXT)
    title = models.CharField(max_length=120, blank=True, default="")
    title_is_public = models.BooleanField(default=True)
    body = models.TextField(max_length=10_000, blank=True, default="")
    teaser = models.CharField(max_length=280, blank=True, default="")
    visibility = models.CharField(max_length=20, choices=Visibility.choices)
    price_amount = models.BigIntegerField(null=True)
    price_currency = models.CharField(max_length=3, null=True)
    price_version = models.IntegerField(default=0)
    publish_at = models.DateTimeField(null=True)
    published_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)
    hold_reason = models.CharField(max_length=20, choices=HoldReason.choices, null=True)
    comments_enabled = models.BooleanField(default=True)
    like_count = models.IntegerField(default=0)
    comment_count = models.IntegerField(default=0)
    sequence = models.BigIntegerField(default=1)
    version = models.BigIntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    all_words = models.GeneratedField(expression=ALL_WORDS, output_field=SearchVectorField(), db_persist=True)
    public_words = models.GeneratedField(expression=PUBLIC_WORDS, output_field=SearchVectorField(), db_persist=True)

    objects = PostManager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status__in=("draft", "awaiting_media", "scheduled", "published", "withdrawn", "deleted")),
                name="post_status_is_known",
            ),
            models.CheckConstraint(
                condition=Q(moderation__in=("clear", "flagged", "hidden")), name="post_moderation_is_known"
            ),
            models.CheckConstraint(
                condition=Q(visibility__in=("public", "subscribers", "tiers", "ppv")), name="post_visibility_is_known"
            ),
            models.CheckConstraint(
                condition=Q(visibility="ppv", price_amount__isnull=False, price_currency__isnull=False)
                | (~Q(visibility="ppv") & Q(price_amount=None, price_currency=None)),
                name="only_a_post_sold_singly_has_a_price",
            ),
            models.CheckConstraint(condition=Q(price_amount=None) | Q(price_amount__gt=0), name="a_price_is_positive"),
            models.CheckConstraint(
                condition=Q(status="deleted", deleted_at__isnull=False) | (~Q(status="deleted") & Q(deleted_at=None)),
                name="only_a_deleted_post_has_deleted_at",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=("published", "withdrawn")) | Q(published_at__isnull=False),
                name="what_is_out_was_published",
            ),
            models.CheckConstraint(
                condition=~Q(status="withdrawn") | Q(withdrawn_at__isnull=False), name="withdrawn_has_withdrawn_at"
            ),
            models.CheckConstraint(
                condition=~Q(status="scheduled") | Q(publish_at__isnull=False), name="scheduled_has_publish_at"
            ),
            models.CheckConstraint(
                condition=Q(publish_at=None) | Q(status__in=("awaiting_media", "scheduled")),
                name="only_what_is_coming_has_publish_at",
            ),
            models.CheckConstraint(
                condition=Q(like_count__gte=0, comment_count__gte=0), name="post_counts_are_not_negative"
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["creator_id", "-published_at", "-id"], condition=PUBLISHED, name="published_posts_of_a_creator"
            ),
            models.Index(fields=["creator_id", "-created_at", "-id"], name="posts_of_a_creator_by_age"),
            models.Index(
                fields=["-published_at", "-id"],
                condition=PUBLISHED,
                name="published_posts",
            ),
            GinIndex(fields=["all_words"], condition=PUBLISHED, name="posts_by_all_words"),
            GinIndex(fields=["public_words"], condition=PUBLISHED, name="posts_by_public_words"),
            models.Index(fields=["publish_at"], condition=Q(status="scheduled"), name="scheduled_posts"),
        ]

    def __str__(self) -> str:
        return self.title or str(self.pk)

    @property
    def tiers(self) -> list[TierRef]:
        """The tiers that open it."""
        return [row.tier for row in self.post_tiers.all()]

    @property
    def media(self) -> list[MediaRef]:
        """Its files in the order shown."""
        return [row.media for row in self.post_media.all()]

    @property
    def previews(self) -> list[MediaRef]:
        """The files that its creator shows to everyone: none while moderators hide the post."""
        if self.moderation == Post.Moderation.HIDDEN:
            return []
        return [row.media for row in self.post_media.all() if row.is_preview and row.media.is_ready]

    @property
    def placeholder(self) -> str | None:
        """What anyone may see of its first picture, as an address that holds it; none of a hidden post."""
        if self.moderation == Post.Moderation.HIDDEN:
            return None
        drawn = next((media.placeholder for media in self.media if media.placeholder), None)
        return drawn and f"data:image/webp;base64,{drawn}"

    @property
    def allowed_tier_ids(self) -> list[UUID]:
        """The tiers that open it, sorted."""
        return sorted(row.tier_id for row in self.post_tiers.all())

    @property
    def media_ids(self) -> list[UUID]:
        """Its files in the order shown."""
        return [row.media_id for row in self.post_media.all()]

    @property
    def preview_ids(self) -> list[UUID]:
        """Those of its files that a locked post shows."""
        return [row.media_id for row in self.post_media.all() if row.is_preview]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to read or see."""
        return not self.body and not self.media_ids

    def advance(self, now: datetime) -> None:
        """Count one more change and one more event."""
        self.version += 1
        self.sequence += 1
        self.updated_at = now


class PostTier(models.Model):
    """A tier whose subscribers may read the post."""

    post = models.ForeignKey(Post, on_delete=models.CASCADE, related_name="post_tiers")
    tier = models.ForeignKey(TierRef, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["post", "tier"], name="a_tier_opens_a_post_once")]

    def __str__(self) -> str:
        return f"{self.tier_id} opens {self.post_id}"


class PostMedia(models.Model):
    """A file in a post, in the order shown; a preview is also for those to whom the post is locked."""

    post = models.ForeignKey(Post, on_delete=models.CASCADE, related_name="post_media")
    media = models.ForeignKey(MediaRef, on_delete=models.PROTECT, related_name="post_media")
    position = models.SmallIntegerField()
    is_preview = models.BooleanField(default=False)

    class Meta:
        ordering: ClassVar = ["position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["post", "media"], name="a_file_is_in_a_post_once"),
            models.UniqueConstraint(fields=["post", "position"], name="one_file_per_position"),
            models.CheckConstraint(condition=Q(position__gte=0, position__lt=20), name="a_post_has_at_most_20_files"),
        ]

    def __str__(self) -> str:
        return f"{self.media_id} in {self.post_id}"
