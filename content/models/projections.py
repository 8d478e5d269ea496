"""What content knows of the other rooms: rows that only their events write, the newest snapshot winning."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, Self, TypeVar
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import connection, models
from django.db.models import F, Q, TextChoices
from uuid_utils.compat import uuid7

from api.money import shown_money
from content.access import Viewer

Row = TypeVar("Row", bound=models.Model)


class SnapshotQuerySet(models.QuerySet[Row]):
    """Rows that follow an aggregate elsewhere; `source_sequence` says how far."""

    def keep_newest(self, *, key: dict[str, Any], sequence: int, values: dict[str, Any]) -> bool:
        """Store the snapshot unless a newer one is here; whether it was stored. The unique key decides."""
        fresh = self.model(**key, source_sequence=0, **values)
        self.bulk_create([fresh], ignore_conflicts=True)
        older = self.filter(**key, source_sequence__lt=sequence)
        return bool(older.update(source_sequence=sequence, **values))


class TierRef(models.Model):
    """A tier of a creator, as subscriptions told it."""

    class Status(TextChoices):
        ACTIVE = "active", "active"
        ARCHIVED = "archived", "archived"

    tier_id = models.UUIDField(primary_key=True)
    creator_id = models.UUIDField(db_index=True)
    name = models.CharField(max_length=200)
    status = models.CharField(max_length=10, choices=Status.choices)
    source_sequence = models.BigIntegerField()

    objects = SnapshotQuerySet["TierRef"].as_manager()

    class Meta:
        verbose_name = "tier reference"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(status__in=("active", "archived")), name="tier_ref_status_is_known"),
        ]

    def __str__(self) -> str:
        return self.name


class MediaRef(models.Model):
    """A file of a creator, as media told it; `variants` names its renditions."""

    class Status(TextChoices):
        PROCESSING = "processing", "processing"
        READY = "ready", "ready"
        REJECTED = "rejected", "rejected"
        FAILED = "failed", "failed"
        DELETED = "deleted", "deleted"

    class Kind(TextChoices):
        IMAGE = "image", "image"
        VIDEO = "video", "video"
        AUDIO = "audio", "audio"

    UNUSABLE = (Status.REJECTED, Status.FAILED, Status.DELETED)

    media_id = models.UUIDField(primary_key=True)
    owner_id = models.UUIDField(db_index=True)
    status = models.CharField(max_length=10, choices=Status.choices)
    kind = models.CharField(max_length=10, choices=Kind.choices, blank=True, default="")
    width = models.IntegerField(null=True)
    height = models.IntegerField(null=True)
    duration_ms = models.BigIntegerField(null=True)
    variants = ArrayField(models.TextField(), default=list)
    placeholder = models.TextField(null=True, help_text="What anyone may see of it: a tiny WebP in base64.")
    source_sequence = models.BigIntegerField()

    objects = SnapshotQuerySet["MediaRef"].as_manager()

    class Meta:
        verbose_name = "media reference"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status__in=("processing", "ready", "rejected", "failed", "deleted")),
                name="media_ref_status_is_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.media_id}"

    @property
    def is_ready(self) -> bool:
        """Whether its renditions can be shown."""
        return self.status == self.Status.READY


class EntitlementQuerySet(SnapshotQuerySet["Entitlement"]):
    """Questions about who may read what."""

    def live(self, now: datetime) -> Self:
        """Those that open something now; a subscription without an end opens nothing."""
        begun = Q(valid_from__lte=now, revoked_at__isnull=True)
        endless = Q(kind=Entitlement.Kind.PURCHASE, valid_until__isnull=True)
        return self.filter(begun & (Q(valid_until__gt=now) | endless))

    def of_reader(self, viewer: Viewer) -> Self:
        """What this viewer holds; nothing for a stranger."""
        return self.none() if viewer.user_id is None else self.filter(user_id=viewer.user_id)

    def purchases_of(self, post_id: Any) -> Self:
        """The purchases of one post; `post_id` may be an OuterRef."""
        return self.filter(kind=Entitlement.Kind.PURCHASE, post_id=post_id)

    def subscriptions_to(self, creator_id: Any) -> Self:
        """The subscriptions to one creator; `creator_id` may be an OuterRef."""
        return self.filter(kind=Entitlement.Kind.SUBSCRIPTION, creator_id=creator_id)


class Entitlement(models.Model):
    """A right to read: to a creator's posts while a subscription lasts, or to one bought post.

    `revoked_at` of a purchase is never cleared: a refund may be told before the purchase it undoes.
    """

    class Kind(TextChoices):
        SUBSCRIPTION = "subscription", "subscription"
        PURCHASE = "purchase", "purchase"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    source_id = models.UUIDField()
    user_id = models.UUIDField()
    creator_id = models.UUIDField(null=True)
    tier_id = models.UUIDField(null=True)
    post_id = models.UUIDField(null=True)
    valid_from = models.DateTimeField(null=True)
    valid_until = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    source_sequence = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField()

    objects = EntitlementQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["kind", "source_id"], name="one_entitlement_per_source"),
            models.CheckConstraint(
                condition=Q(kind__in=("subscription", "purchase")), name="entitlement_kind_is_known"
            ),
            models.CheckConstraint(
                condition=~Q(kind="subscription") | Q(creator_id__isnull=False, tier_id__isnull=False),
                name="a_subscription_entitlement_names_creator_and_tier",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["user_id", "creator_id"], condition=Q(revoked_at=None), name="entitlement_by_creator"),
            models.Index(fields=["user_id", "post_id"], name="entitlement_by_reader_and_post"),
            models.Index(fields=["post_id"], condition=Q(kind="purchase"), name="entitlement_by_post"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.source_id}"

    def is_live(self, now: datetime) -> bool:
        """Whether it opens anything now: the twin of `EntitlementQuerySet.live`."""
        if self.revoked_at is not None or self.valid_from is None or self.valid_from > now:
            return False
        if self.valid_until is None:
            return self.kind == self.Kind.PURCHASE
        return now < self.valid_until

    def opens_singly(self, post: models.Model) -> bool:
        """Whether this is a purchase of the post."""
        return self.kind == self.Kind.PURCHASE and self.post_id == post.pk

    def subscribes_to(self, creator_id: UUID) -> bool:
        """Whether this is a subscription to the creator."""
        return self.kind == self.Kind.SUBSCRIPTION and self.creator_id == creator_id

    def began_by(self, moment: datetime | None) -> bool:
        """Whether it had begun at that moment."""
        return self.valid_from is not None and moment is not None and self.valid_from <= moment


class PostTip(models.Model):
    """A captured tip that was given for a post; totals are sums over these rows."""

    tip_id = models.UUIDField(primary_key=True)
    post_id = models.UUIDField(db_index=True)
    sender_id = models.UUIDField()
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    refunded_amount = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="post_tip_amount_is_positive"),
            models.CheckConstraint(
                condition=Q(refunded_amount__gte=0, refunded_amount__lte=F("amount")),
                name="post_tip_refund_is_within_the_amount",
            ),
        ]

    def __str__(self) -> str:
        return shown_money(self.amount, self.currency)


KEEP_NEWEST_SIGNALS = """
INSERT INTO content_likesignal AS kept (post_id, user_id, revision, active)
SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::int[], %s::bool[])
ON CONFLICT (post_id, user_id) DO UPDATE SET revision = excluded.revision, active = excluded.active
 WHERE kept.revision < excluded.revision
"""


class LikeSignalQuerySet(models.QuerySet["LikeSignal"]):
    """Rows that follow readers' likes."""

    def keep_newest(self, signals: Iterable["LikeSignal"]) -> None:
        """Store the signals, at most one for each reader of a post, unless newer ones are here: one statement.

        They are written in the order of their key, so two who write at once never wait for each other in a circle.
        """
        rows = sorted(signals, key=lambda signal: (signal.post_id, signal.user_id))
        columns = [[getattr(row, name) for row in rows] for name in ("post_id", "user_id", "revision", "active")]
        with connection.cursor() as cursor:
            cursor.execute(KEEP_NEWEST_SIGNALS, columns)


class LikeSignal(models.Model):
    """Content's own likes as its events told them: what trending counts. The highest revision holds."""

    post_id = models.UUIDField()
    user_id = models.UUIDField()
    revision = models.IntegerField()
    active = models.BooleanField()

    objects = LikeSignalQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["post_id", "user_id"], name="one_like_signal_per_reader"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["post_id"], condition=Q(active=True), name="active_like_signals"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} on {self.post_id}"


class PostTrend(models.Model):
    """How a post trends; `is_stale` says that its signals changed since it was scored."""

    post = models.OneToOneField(
        "content.Post", on_delete=models.CASCADE, primary_key=True, related_name="trend", db_constraint=False
    )
    score = models.BigIntegerField(default=0)
    is_stale = models.BooleanField(default=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["-score", "-post"], name="trends_by_score"),
            models.Index(fields=["post"], condition=Q(is_stale=True), name="stale_trends"),
        ]

    def __str__(self) -> str:
        return f"{self.score} {self.post_id}"
