"""What is between a fan and a creator, and where it stands."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID

from django.db import connection, models
from django.db.models import F, FilteredRelation, Q
from django.utils import timezone
from uuid_utils.compat import uuid7

from subscriptions.exceptions import InvalidTransitionError
from subscriptions.models.tiers import Interval, Tier, TierPrice
from subscriptions.models.transitions import OnlyTransitions
from subscriptions.periods import anchor_day_of, period_end
from subscriptions.states import BEGINNINGS, LIVE, RUNNING, TERMINAL, TRANSITIONS
from subscriptions.timing import PATIENCE, renewal_lead


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
        return self.filter(
            status__in=RUNNING, cancel_at_period_end=True, next_action_at__lte=now, current_period_end__lte=now
        )

    def renewable_by(self, now: datetime) -> Self:
        """Subscriptions whose next period is to be asked for, longest due first."""
        return (
            self.filter(status__in=("trialing", "active"), cancel_at_period_end=False, next_action_at__lte=now)
            .exclude(requested_payments__state="open")
            .order_by("next_action_at")
        )

    def given_up_by(self, now: datetime) -> Self:
        """Subscriptions that waited long enough for an answer or, past due, for another way to pay."""
        return (
            self._with_awaited()
            .filter(status__in=RUNNING, next_action_at__lte=now)
            .filter(Q(awaited__isnull=False) | Q(status="past_due", cancel_at_period_end=False))
        )

    def write_each(self, rows: Sequence["Subscription"], fields: Iterable[str]) -> None:
        """Write the fields of many rows with one statement: bulk_update's CASE costs the square of their number."""
        named: list[Any] = [self.model._meta.get_field(name) for name in ("id", *fields)]
        columns = [connection.ops.quote_name(field.column) for field in named]
        arrays = [[field.get_db_prep_save(getattr(row, field.attname), connection) for row in rows] for field in named]
        types = ", ".join(f"%s::{field.db_type(connection)}[]" for field in named)
        changes = ", ".join(f"{column} = new.{column}" for column in columns[1:])
        table = connection.ops.quote_name(self.model._meta.db_table)
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {table} SET {changes} FROM unnest({types}) AS new({', '.join(columns)}) "  # noqa: S608 - names
                f"WHERE {table}.id = new.id",
                arrays,
            )

    def _with_awaited(self) -> Self:
        """Joined with the payment that was asked for and not answered, of which there is at most one."""
        open_one = Q(requested_payments__state="open")
        return self.annotate(awaited=FilteredRelation("requested_payments", condition=open_one))


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
    TRANSITIONS = TRANSITIONS
    PRICE_FIELDS = ("tier_id", "price_id", "amount", "currency", "interval", "interval_count", "pending_price")
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
    tier = models.ForeignKey(Tier, on_delete=models.PROTECT, db_index=False, related_name="subscriptions")
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
    pending_price = models.ForeignKey(
        TierPrice, on_delete=models.PROTECT, null=True, db_index=False, related_name="subscriptions_changing_to"
    )
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
            OnlyTransitions(
                field="status",
                beginnings=BEGINNINGS,
                transitions=TRANSITIONS,
                name="subscriptions_move_as_the_table_says",
            ),
        ]
        indexes: ClassVar = [
            models.Index(F("creator_id"), F("created_at").desc(), F("id").desc(), name="subscribers_newest_first"),
            models.Index(F("subscriber_id"), F("created_at").desc(), F("id").desc(), name="subscriptions_newest_first"),
            models.Index(F("creator_id"), F("status"), F("created_at").desc(), name="subscribers_by_status"),
            models.Index(fields=["subscriber_id", "status"], name="subscriptions_by_status"),
            models.Index(fields=["tier", "status"], name="subscriptions_of_a_tier"),
            models.Index(
                F("creator_id"), F("tier"), F("created_at").desc(), F("id").desc(), name="subscribers_of_a_tier"
            ),
            models.Index(fields=["next_action_at"], condition=Q(status__in=LIVE), name="subscriptions_due"),
            models.Index(fields=["pending_price"], condition=Q(pending_price__isnull=False), name="changes_to_a_price"),
        ]

    def __str__(self) -> str:
        return f"{self.status} {self.id}"

    @property
    def is_ended(self) -> bool:
        """Whether it is over for good."""
        return self.status in TERMINAL

    @property
    def parties(self) -> tuple[UUID, UUID]:
        """Who pays, and who is paid."""
        return self.subscriber_id, self.creator_id

    @property
    def due_cycle(self) -> int:
        """The cycle that the next payment pays."""
        return self.cycle_number + 1

    def move_to(self, status: str) -> None:
        """Take the status, if the transition table allows it from here."""
        if status not in self.TRANSITIONS[self.status]:
            raise InvalidTransitionError(f"A subscription that is {self.status} cannot become {status}")
        self.status = status

    def take_price(self, price: TierPrice) -> None:
        """Cost what this price says from now on; a change that waited is done or overtaken."""
        self.tier_id = price.tier_id
        self.price = price
        self.amount, self.currency = price.amount, price.currency
        self.interval, self.interval_count = price.interval, price.interval_count
        self.pending_price = None

    def next_period(self, price: TierPrice, *, since: datetime | None = None) -> tuple[datetime, datetime]:
        """The period that follows the present one, at this price, on the anchor day; without one it starts `since`."""
        start = self.current_period_end or since
        assert start is not None
        return start, period_end(
            start,
            interval=price.interval,
            interval_count=price.interval_count,
            anchor_day=self.anchor_day or anchor_day_of(start),
        )

    def start_period(self, start: datetime, end: datetime) -> None:
        """Begin the due cycle; a period that does not follow the last one, like the first, sets the anchor day."""
        self.move_to(self.Status.ACTIVE)
        if self.anchor_day is None or start != self.current_period_end:
            self.anchor_day = anchor_day_of(start)
        self.cycle_number += 1
        self.current_period_start, self.current_period_end, self.access_until = start, end, end
        self.started_at = self.started_at or start
        self.past_due_at = self.grace_until = None
        self.plan()

    def start_trial(self, start: datetime, end: datetime) -> None:
        """Let the fan in for a while; the first cycle begins where the trial ends."""
        self.status = self.Status.TRIALING
        self.current_period_start, self.current_period_end = start, end
        self.trial_end_at = self.access_until = end
        self.started_at = start
        self.plan()

    def fall_past_due(self, *, since: datetime, until: datetime) -> None:
        """Have access until then and no longer, unless the due cycle is paid."""
        self.move_to(self.Status.PAST_DUE)
        self.past_due_at = since
        self.grace_until = self.access_until = until

    def plan(self, *, request_expires_at: datetime | None = None) -> None:
        """Say when the clock looks again: for the answer to what was asked, at the end, or for the next period."""
        moments: list[datetime | None] = []
        if request_expires_at is not None:
            moments.append(request_expires_at + PATIENCE)
        elif self.status == self.Status.PAST_DUE:
            moments.append(self.grace_until)
        if self.cancel_at_period_end:
            moments.append(self.current_period_end)
        elif not moments and self.current_period_end is not None:
            moments.append(self.current_period_end - renewal_lead())
        self.next_action_at = min((moment for moment in moments if moment is not None), default=None)

    def end(self, status: str, *, reason: str, at: datetime) -> None:
        """Be over, and let nobody look any longer."""
        self.move_to(status)
        self.ended_at = at
        self.end_reason = reason
        self.access_until = min(self.access_until, at) if self.access_until else None
        self.next_action_at = None
