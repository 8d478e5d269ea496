"""What creators offer: tiers and their prices."""

from typing import ClassVar, Self
from uuid import UUID

from django.db import connection, models
from django.db.models import F, FilteredRelation, Q
from django.db.models.functions import Lower
from django.utils import timezone
from uuid_utils.compat import uuid7

from api.money import shown_money
from subscriptions.states import RUNNING


class Interval(models.TextChoices):
    """The unit of a price's period."""

    MONTH = "month", "month"
    YEAR = "year", "year"


class TierQuerySet(models.QuerySet["Tier"]):
    """Questions about tiers."""

    def active(self) -> Self:
        """Tiers that can be chosen."""
        return self.filter(status="active")

    def of_creator(self, creator_id: UUID) -> Self:
        """A creator's own tiers."""
        return self.filter(creator_id=creator_id)

    def readable_by(self, viewer_id: UUID | None) -> Self:
        """Tiers that one may read when one knows their id: active ones, one's own, and those one holds."""
        return self._with_held(viewer_id).filter(Q(status="active") | Q(creator_id=viewer_id) | Q(held__isnull=False))

    def listed_for(self, viewer_id: UUID | None) -> Self:
        """Tiers that one finds in a list: public active ones, one's own, and those one holds."""
        offered = Q(status="active", is_public=True)
        return self._with_held(viewer_id).filter(offered | Q(creator_id=viewer_id) | Q(held__isnull=False))

    def lock_creator(self, creator_id: UUID) -> None:
        """Let no other transaction activate a tier of this creator until this one ends: a count has no row to lock."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"tiers of {creator_id}"])

    def _with_held(self, viewer_id: UUID | None) -> Self:
        """Joined with the viewer's running subscription, of which there is at most one to a tier."""
        running = Q(subscriptions__subscriber_id=viewer_id, subscriptions__status__in=RUNNING)
        return self.annotate(held=FilteredRelation("subscriptions", condition=running))


class Tier(models.Model):
    """What a creator offers; subscribers keep the price at which they came."""

    class Status(models.TextChoices):
        ACTIVE = "active", "active"
        ARCHIVED = "archived", "archived"

    MAX_ACTIVE = 10
    MAX_BENEFITS = 20

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    creator_id = models.UUIDField(db_index=True)
    name = models.CharField(max_length=50)
    description = models.TextField(max_length=2000, blank=True, default="")
    benefits = models.JSONField(default=list, blank=True)
    rank = models.PositiveSmallIntegerField(default=0)
    trial_days = models.PositiveSmallIntegerField(default=0)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.ACTIVE)
    is_public = models.BooleanField(default=True)
    max_subscribers = models.PositiveIntegerField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1)
    sequence = models.PositiveBigIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    archived_at = models.DateTimeField(null=True, editable=False)

    objects = TierQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                "creator_id", Lower("name"), condition=Q(status="active"), name="one_active_tier_of_a_name_per_creator"
            ),
            models.CheckConstraint(condition=Q(status__in=("active", "archived")), name="tier_status_is_known"),
            models.CheckConstraint(condition=Q(trial_days__range=(0, 90)), name="a_trial_lasts_at_most_90_days"),
            models.CheckConstraint(
                condition=Q(status="archived", archived_at__isnull=False)
                | (~Q(status="archived") & Q(archived_at__isnull=True)),
                name="only_archived_tiers_have_an_archive_date",
            ),
            models.CheckConstraint(
                condition=Q(max_subscribers__isnull=True) | Q(max_subscribers__gt=0), name="a_cap_leaves_room_for_one"
            ),
            models.CheckConstraint(condition=~Q(name=""), name="a_tier_has_a_name"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["creator_id", "status", "rank"], name="tiers_of_a_creator"),
            models.Index(F("creator_id"), F("created_at").desc(), F("id").desc(), name="tiers_newest_first"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_archived(self) -> bool:
        """Whether nobody can choose it any more."""
        return self.status == self.Status.ARCHIVED


class TierPriceQuerySet(models.QuerySet["TierPrice"]):
    """Questions about prices."""

    def active(self) -> Self:
        """Prices that can be chosen."""
        return self.filter(active=True)


class TierPrice(models.Model):
    """What a tier costs for each period; never changed, only withdrawn and replaced by a new row."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tier = models.ForeignKey(Tier, on_delete=models.PROTECT, related_name="prices")
    interval = models.CharField(max_length=5, choices=Interval.choices)
    interval_count = models.PositiveSmallIntegerField(default=1)
    amount = models.PositiveBigIntegerField()
    currency = models.CharField(max_length=3)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = TierPriceQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["created_at", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tier", "interval", "interval_count", "currency"],
                condition=Q(active=True),
                name="one_active_price_per_period_and_currency",
            ),
            models.CheckConstraint(condition=Q(interval__in=("month", "year")), name="price_interval_is_known"),
            models.CheckConstraint(condition=Q(interval_count__range=(1, 12)), name="a_period_has_1_to_12_intervals"),
            models.CheckConstraint(condition=Q(currency__regex=r"^[A-Z]{3}$"), name="price_currency_is_three_letters"),
        ]

    def __str__(self) -> str:
        return f"{shown_money(self.amount, self.currency)} / {self.interval_count} {self.interval}"
