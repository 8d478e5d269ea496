"""What became of a subscription: payments heard of, periods granted, every change."""

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from uuid_utils.compat import uuid7

from subscriptions.models.subscriptions import Subscription
from subscriptions.models.tiers import TierPrice


class ReceivedPayment(models.Model):
    """A payment this room has heard of, by its own id: what makes a repeated or early message harmless."""

    class Outcome(models.TextChoices):
        GRANTED = "granted", "it paid a period"
        DUPLICATE = "duplicate", "the cycle was already paid"
        NOT_PAYABLE = "not_payable", "nothing payable, or not the right amount"
        REVOKED = "revoked", "its money had gone back before it arrived"

    class RevokeReason(models.TextChoices):
        REFUNDED = "refunded", "the money went back"
        DISPUTED = "disputed", "the payment was disputed"

    id = models.UUIDField(primary_key=True)
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="payments")
    outcome = models.CharField(max_length=12, choices=Outcome.choices, null=True)
    refunded_at = models.DateTimeField(null=True)
    refunded_total = models.BigIntegerField(null=True)  # a note that an earlier release made does not say it
    access_revoked = models.BooleanField(default=False)
    revoke_reason = models.CharField(max_length=10, choices=RevokeReason.choices, null=True)
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
            models.CheckConstraint(
                condition=Q(revoke_reason__isnull=True) | Q(revoke_reason__in=("refunded", "disputed")),
                name="revoke_reason_is_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} {self.id}"

    def give_back(self, total: int, *, at: datetime) -> None:
        """Note that so much has gone back by now; what is heard of late is part of it already."""
        self.refunded_at = min(self.refunded_at or at, at)
        self.refunded_total = max(self.refunded_total or 0, total)

    def kept_of(self, amount: int) -> int:
        """What is left of this amount after what went back; nothing when it is not known how much that was."""
        if self.refunded_at is None:
            return amount
        return 0 if self.refunded_total is None else max(amount - self.refunded_total, 0)

    def revoke(self, reason: str) -> None:
        """Note that access goes with its money; the first reason stays."""
        if not self.access_revoked:
            self.access_revoked, self.revoke_reason = True, reason


class RequestedPayment(models.Model):
    """Money that payments was asked for, by the id of the billing request; at most one awaits its answer."""

    class State(models.TextChoices):
        OPEN = "open", "awaited"
        PAID = "paid", "paid"
        FAILED = "failed", "failed for good"
        WITHDRAWN = "withdrawn", "asked for no longer"

    class Reason(models.TextChoices):
        INITIAL = "initial", "the first cycle"
        RENEWAL = "renewal", "the next cycle"
        TRIAL_CONVERSION = "trial_conversion", "the first cycle after a trial"
        PRORATION = "proration", "a change within a cycle"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="requested_payments")
    reason = models.CharField(max_length=20, choices=Reason.choices)
    cycle_number = models.PositiveIntegerField()
    price = models.ForeignKey(TierPrice, on_delete=models.PROTECT, related_name="requested_payments")
    amount = models.PositiveBigIntegerField()
    currency = models.CharField(max_length=3)
    period_start = models.DateTimeField(null=True)
    period_end = models.DateTimeField(null=True)
    due_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    asked_at = models.DateTimeField(default=timezone.now, editable=False)
    answered_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-asked_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["subscription"], condition=Q(state="open"), name="one_payment_is_awaited_at_a_time"
            ),
            models.CheckConstraint(
                condition=Q(state__in=("open", "paid", "failed", "withdrawn")), name="requested_payment_state_is_known"
            ),
            models.CheckConstraint(
                condition=Q(state="open", answered_at__isnull=True) | (~Q(state="open") & Q(answered_at__isnull=False)),
                name="what_is_awaited_has_no_answer",
            ),
            models.CheckConstraint(condition=Q(amount__gt=0), name="nothing_is_not_asked_for"),
            models.CheckConstraint(
                condition=Q(reason="initial", period_start__isnull=True, period_end__isnull=True)
                | (~Q(reason="initial") & Q(period_end__gt=F("period_start"))),
                name="only_a_first_payment_has_no_period_yet",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["subscription", "-asked_at"], name="requests_newest_first")]

    def __str__(self) -> str:
        return f"{self.reason} {self.cycle_number}: {self.state}"

    @property
    def is_open(self) -> bool:
        """Whether its answer is awaited."""
        return self.state == self.State.OPEN

    @property
    def is_proration(self) -> bool:
        """Whether it pays a change within a cycle."""
        return self.reason == self.Reason.PRORATION

    def answer(self, state: str) -> None:
        """Note what became of it."""
        self.state = state
        self.answered_at = timezone.now()


class TrialUse(models.Model):
    """That a fan has tried a creator's work for nothing; once, for ever, whatever becomes of the subscription."""

    subscriber_id = models.UUIDField()
    creator_id = models.UUIDField()
    subscription = models.OneToOneField(Subscription, on_delete=models.PROTECT, related_name="trial_use")
    used_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["-used_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["subscriber_id", "creator_id"], name="one_trial_per_creator_for_ever"),
        ]

    def __str__(self) -> str:
        return f"trial of {self.subscription_id}"


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

    @classmethod
    def of(cls, subscription: Subscription, *, payment: ReceivedPayment | None) -> Self:
        """The cycle that the subscription has just begun, and what paid it."""
        assert subscription.current_period_start is not None
        assert subscription.current_period_end is not None
        return cls(
            subscription=subscription,
            cycle_number=subscription.cycle_number,
            period_start=subscription.current_period_start,
            period_end=subscription.current_period_end,
            payment=payment,
            refunded=payment is not None and payment.refunded_at is not None,
        )


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
