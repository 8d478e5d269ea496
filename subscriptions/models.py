"""Tiers and their prices, subscriptions, the periods they were granted, the payments heard of, and every change."""

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils import timezone
from uuid_utils.compat import uuid7

from subscriptions.exceptions import InvalidTransitionError
from subscriptions.periods import anchor_day_of, period_end
from subscriptions.querysets import (
    LIVE,
    RUNNING,
    TERMINAL,
    SubscriptionQuerySet,
    TierPriceQuerySet,
    TierQuerySet,
)


class Interval(models.TextChoices):
    """The unit of a price's period."""

    MONTH = "month", "month"
    YEAR = "year", "year"


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
        return f"{self.amount} {self.currency} / {self.interval_count} {self.interval}"


class Subscription(models.Model):
    """What is between a fan and a creator: from the wish to pay to the end, and never back from there."""

    class Status(models.TextChoices):
        INCOMPLETE = "incomplete", "incomplete"
        TRIALING = "trialing", "trialing"
        ACTIVE = "active", "active"
        PAST_DUE = "past_due", "past due"
        CANCELLED = "cancelled", "cancelled"
        EXPIRED = "expired", "expired"

    class EndReason(models.TextChoices):
        SUBSCRIBER_REQUEST = "subscriber_request", "the subscriber asked"
        CREATOR_REQUEST = "creator_request", "the creator asked"
        STAFF_REQUEST = "staff_request", "the staff asked"
        INITIAL_PAYMENT_FAILED = "initial_payment_failed", "the first payment failed"
        PAYMENT_FAILED = "payment_failed", "a payment failed"
        REPLACED = "replaced", "another choice replaced it"
        TERM_ENDED = "term_ended", "its term ended"
        REFUNDED = "refunded", "the money went back"
        DISPUTED = "disputed", "the payment was disputed"
        ACCOUNT_CLOSED = "account_closed", "an account was closed"

    LIVE = LIVE
    RUNNING = RUNNING
    TERMINAL = TERMINAL
    TRANSITIONS: ClassVar[dict[str, frozenset[str]]] = {
        Status.INCOMPLETE: frozenset({Status.ACTIVE, Status.EXPIRED, Status.CANCELLED}),
        Status.TRIALING: frozenset({Status.ACTIVE, Status.PAST_DUE, Status.EXPIRED, Status.CANCELLED}),
        Status.ACTIVE: frozenset({Status.ACTIVE, Status.PAST_DUE, Status.EXPIRED, Status.CANCELLED}),
        Status.PAST_DUE: frozenset({Status.ACTIVE, Status.EXPIRED, Status.CANCELLED}),
        Status.CANCELLED: frozenset(),
        Status.EXPIRED: frozenset(),
    }
    PERIOD_FIELDS = (
        "status",
        "cycle_number",
        "anchor_day",
        "current_period_start",
        "current_period_end",
        "access_until",
        "started_at",
        "past_due_at",
        "grace_until",
        "next_action_at",
    )
    END_FIELDS = ("status", "access_until", "ended_at", "end_reason", "next_action_at")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    subscriber_id = models.UUIDField()
    creator_id = models.UUIDField()
    tier = models.ForeignKey(Tier, on_delete=models.PROTECT, related_name="subscriptions")
    price = models.ForeignKey(TierPrice, on_delete=models.PROTECT, related_name="subscriptions")
    amount = models.PositiveBigIntegerField()
    currency = models.CharField(max_length=3)
    interval = models.CharField(max_length=5, choices=Interval.choices)
    interval_count = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=10, choices=Status.choices)
    cycle_number = models.PositiveIntegerField(default=0)
    anchor_day = models.PositiveSmallIntegerField(null=True)
    current_period_start = models.DateTimeField(null=True)
    current_period_end = models.DateTimeField(null=True)
    trial_end_at = models.DateTimeField(null=True)
    payment_due_at = models.DateTimeField(null=True)
    past_due_at = models.DateTimeField(null=True)
    grace_until = models.DateTimeField(null=True)
    access_until = models.DateTimeField(null=True)
    cancel_at_period_end = models.BooleanField(default=False)
    cancel_requested_at = models.DateTimeField(null=True)
    cancelled_by = models.CharField(max_length=10, blank=True, default="")
    cancel_reason = models.CharField(max_length=20, blank=True, default="")
    cancel_comment = models.CharField(max_length=500, blank=True, default="")
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=30, choices=EndReason.choices, null=True)
    payment_method_id = models.UUIDField(null=True)
    replaces_subscription = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, related_name="replaced_by_subscription"
    )
    next_action_at = models.DateTimeField(null=True)
    sequence = models.PositiveBigIntegerField(default=1)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["subscriber_id", "creator_id"],
                condition=Q(status__in=LIVE),
                name="one_live_subscription_per_creator",
            ),
            models.CheckConstraint(condition=Q(status__in=(*LIVE, *TERMINAL)), name="subscription_status_is_known"),
            models.CheckConstraint(
                condition=~Q(subscriber_id=F("creator_id")), name="nobody_subscribes_to_their_own_tiers"
            ),
            models.CheckConstraint(
                condition=Q(status__in=TERMINAL, ended_at__isnull=False, end_reason__isnull=False)
                | Q(status__in=LIVE, ended_at__isnull=True, end_reason__isnull=True),
                name="only_ended_subscriptions_have_an_end",
            ),
            models.CheckConstraint(
                condition=Q(current_period_start__isnull=True, current_period_end__isnull=True)
                | Q(current_period_end__gt=F("current_period_start")),
                name="a_period_ends_after_it_starts",
            ),
            models.CheckConstraint(
                condition=~Q(status="incomplete") | Q(access_until__isnull=True), name="unpaid_means_no_access"
            ),
            models.CheckConstraint(
                condition=Q(anchor_day__isnull=True) | Q(anchor_day__range=(1, 31)), name="anchor_day_is_a_day_of_a_month"
            ),
        ]
        indexes: ClassVar = [
            models.Index(F("creator_id"), F("created_at").desc(), F("id").desc(), name="subscribers_newest_first"),
            models.Index(F("subscriber_id"), F("created_at").desc(), F("id").desc(), name="subscriptions_newest_first"),
            models.Index(F("creator_id"), F("status"), F("created_at").desc(), name="subscribers_by_status"),
            models.Index(fields=["subscriber_id", "status"], name="subscriptions_by_status"),
            models.Index(fields=["tier", "status"], name="subscriptions_of_a_tier"),
            models.Index(fields=["next_action_at"], condition=Q(status__in=LIVE), name="subscriptions_due"),
        ]

    def __str__(self) -> str:
        return f"{self.status} {self.id}"

    @property
    def is_ended(self) -> bool:
        """Whether it is over for good."""
        return self.status in TERMINAL

    @property
    def due_cycle(self) -> int:
        """The cycle that the next payment pays."""
        return self.cycle_number + 1

    def move_to(self, status: str) -> None:
        """Take the status, if the transition table allows it from here."""
        if status not in self.TRANSITIONS[self.status]:
            raise InvalidTransitionError(f"A subscription that is {self.status} cannot become {status}")
        self.status = status

    def start_period(self, *, paid_at: datetime) -> "SubscriptionPeriod":
        """Begin the due cycle: where the last period ended, or, the first time, when the money came."""
        self.move_to(self.Status.ACTIVE)
        start = self.current_period_end or paid_at
        self.anchor_day = self.anchor_day or anchor_day_of(start)
        end = period_end(
            start, interval=self.interval, interval_count=self.interval_count, anchor_day=self.anchor_day
        )
        self.cycle_number += 1
        self.current_period_start, self.current_period_end, self.access_until = start, end, end
        self.started_at = self.started_at or paid_at
        self.past_due_at = self.grace_until = None
        self.next_action_at = end if self.cancel_at_period_end else None
        return SubscriptionPeriod(
            subscription=self, cycle_number=self.cycle_number, period_start=start, period_end=end
        )

    def end(self, status: str, *, reason: str, at: datetime) -> None:
        """Be over, and let nobody look any longer."""
        self.move_to(status)
        self.ended_at = at
        self.end_reason = reason
        self.access_until = min(self.access_until, at) if self.access_until else None
        self.next_action_at = None


class ReceivedPayment(models.Model):
    """A payment this room has heard of, by its own id: what makes a repeated or early message harmless."""

    class Outcome(models.TextChoices):
        GRANTED = "granted", "it paid a period"
        DUPLICATE = "duplicate", "the cycle was already paid"
        NOT_PAYABLE = "not_payable", "nothing payable, or not the right amount"
        REVOKED = "revoked", "its money had gone back before it arrived"

    id = models.UUIDField(primary_key=True)
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="payments")
    outcome = models.CharField(max_length=12, choices=Outcome.choices, null=True)
    refunded_at = models.DateTimeField(null=True)
    access_revoked = models.BooleanField(default=False)
    received_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["-received_at", "-id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(outcome__isnull=True) | Q(outcome__in=("granted", "duplicate", "not_payable", "revoked")),
                name="payment_outcome_is_known",
            ),
            models.CheckConstraint(
                condition=Q(outcome__isnull=False) | Q(refunded_at__isnull=False),
                name="a_received_payment_came_or_went_back",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} {self.id}"


class SubscriptionPeriod(models.Model):
    """A cycle that was granted; this row, not the event, makes extending idempotent."""

    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="periods")
    cycle_number = models.PositiveIntegerField()
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    payment = models.OneToOneField(ReceivedPayment, on_delete=models.PROTECT, null=True, related_name="period")
    refunded = models.BooleanField(default=False)

    class Meta:
        ordering: ClassVar = ["subscription", "cycle_number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["subscription", "cycle_number"], name="a_cycle_is_granted_once"),
            models.CheckConstraint(
                condition=Q(period_end__gt=F("period_start")), name="a_granted_period_ends_after_it_starts"
            ),
            models.CheckConstraint(condition=Q(cycle_number__gte=1), name="granted_cycles_count_from_one"),
        ]

    def __str__(self) -> str:
        return f"cycle {self.cycle_number} of {self.subscription_id}"


class SubscriptionTransition(models.Model):
    """One change of a subscription, as it was told to the other rooms; never changed."""

    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="transitions")
    sequence = models.PositiveBigIntegerField()
    from_status = models.CharField(max_length=10, blank=True, default="")
    to_status = models.CharField(max_length=10)
    change = models.CharField(max_length=30)
    actor = models.CharField(max_length=200, blank=True, default="")
    causation_event_id = models.CharField(max_length=400, blank=True, default="")
    at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["subscription", "sequence"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["subscription", "sequence"], name="a_transition_per_sequence"),
        ]

    def __str__(self) -> str:
        return f"{self.sequence}: {self.change}"
