"""What is between a fan and a creator, and where it stands."""

from datetime import datetime
from typing import ClassVar, Self
from uuid import UUID

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from uuid_utils.compat import uuid7

from subscriptions.exceptions import InvalidTransitionError
from subscriptions.models.tiers import Interval, Tier, TierPrice
from subscriptions.periods import anchor_day_of, period_end
from subscriptions.states import LIVE, RUNNING, TERMINAL


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    """Questions about subscriptions."""

    def live(self) -> Self:
        """Subscriptions that are not over, paid or not."""
        return self.filter(status__in=LIVE)

    def between(self, subscriber_id: UUID, creator_id: UUID) -> Self:
        """What there is, and was, between a fan and a creator."""
        return self.filter(subscriber_id=subscriber_id, creator_id=creator_id)

    def started(self) -> Self:
        """Subscriptions that gave access at some time: the only ones a creator hears of."""
        return self.filter(started_at__isnull=False)

    def visible_to(self, user_id: UUID) -> Self:
        """One's own subscriptions, and those to oneself that ever started."""
        return self.filter(Q(subscriber_id=user_id) | Q(creator_id=user_id, started_at__isnull=False))

    def with_access(self, now: datetime) -> Self:
        """Subscriptions whose holder may look now."""
        return self.filter(status__in=RUNNING, access_until__gt=now)

    def unpaid_by(self, now: datetime) -> Self:
        """Incomplete subscriptions whose time to pay is over."""
        return self.filter(status="incomplete", next_action_at__lte=now)

    def ending_by(self, now: datetime) -> Self:
        """Subscriptions whose scheduled cancellation is due."""
        return self.filter(status__in=RUNNING, cancel_at_period_end=True, next_action_at__lte=now)


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
                | (~Q(status__in=TERMINAL) & Q(ended_at__isnull=True, end_reason__isnull=True)),
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
                condition=Q(anchor_day__isnull=True) | Q(anchor_day__range=(1, 31)),
                name="anchor_day_is_a_day_of_a_month",
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

    def start_period(self, *, paid_at: datetime) -> None:
        """Begin the due cycle: where the last period ended, or, the first time, when the money came."""
        self.move_to(self.Status.ACTIVE)
        start = self.current_period_end or paid_at
        self.anchor_day = self.anchor_day or anchor_day_of(start)
        end = period_end(start, interval=self.interval, interval_count=self.interval_count, anchor_day=self.anchor_day)
        self.cycle_number += 1
        self.current_period_start, self.current_period_end, self.access_until = start, end, end
        self.started_at = self.started_at or paid_at
        self.past_due_at = self.grace_until = None
        self.next_action_at = end if self.cancel_at_period_end else None

    def end(self, status: str, *, reason: str, at: datetime) -> None:
        """Be over, and let nobody look any longer."""
        self.move_to(status)
        self.ended_at = at
        self.end_reason = reason
        self.access_until = min(self.access_until, at) if self.access_until else None
        self.next_action_at = None
