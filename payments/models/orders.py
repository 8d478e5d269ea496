"""What is owed, and what the gateway was asked."""

from datetime import datetime
from typing import ClassVar, Self
from uuid import UUID

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone
from uuid_utils.compat import uuid7

from api.money import shown_money
from payments.fees import Split
from payments.models.constraints import known
from payments.models.methods import PaymentMethod

CAPTURED = ["succeeded", "partially_refunded", "refunded", "disputed", "reversed"]
TRIGGERS = ("initial", "renewal", "dunning", "customer_retry", "method_update", "admin")


class PaymentOrderQuerySet(models.QuerySet["PaymentOrder"]):
    """Questions about what is owed and paid."""

    def of_party(self, user_id: UUID) -> Self:
        """What this user pays or is paid."""
        return self.filter(Q(payer_id=user_id) | Q(payee_id=user_id))

    def cancellable(self) -> Self:
        """Orders that no gateway is working on."""
        return self.filter(status__in=PaymentOrder.CANCELLABLE)

    def captured(self) -> Self:
        """Orders whose money came, and did not all go back."""
        return self.filter(status__in=PaymentOrder.REFUNDABLE)

    def clearable(self, before: datetime) -> Self:
        """Captured orders whose money has waited since before this and is neither cleared nor all given back."""
        return self.captured().filter(cleared_at=None, completed_at__lte=before)

    def kept(self) -> Self:
        """Orders whose money came and is not all back, contested or not."""
        return self.filter(status__in=(*PaymentOrder.REFUNDABLE, PaymentOrder.Status.DISPUTED))

    def due(self, now: datetime) -> Self:
        """Orders to charge now."""
        in_time = Q(expires_at=None) | Q(expires_at__gt=now)
        return self.filter(in_time, status__in=["pending", "retry_scheduled"], next_attempt_at__lte=now)

    def waiting_for_retry(self) -> Self:
        """Declined cycles that will be tried again, or wait for a new method."""
        return self.filter(status="retry_scheduled")

    def unanswered(self, since: datetime) -> Self:
        """Orders at the gateway whose answer nobody has brought back since."""
        return self.filter(status="processing", lock_acquired_at__lt=since)

    def overdue(self, now: datetime) -> Self:
        """Open orders whose time is up."""
        return self.cancellable().filter(expires_at__lte=now)


class PaymentOrder(models.Model):
    """One debt of one payer to one payee, and what became of it."""

    class Kind(models.TextChoices):
        SUBSCRIPTION = "subscription", "subscription cycle"
        TIP = "tip", "tip"
        POST_PURCHASE = "post_purchase", "single post"

    class Status(models.TextChoices):
        PENDING = "pending", "waiting to be charged"
        PROCESSING = "processing", "at the gateway"
        REQUIRES_ACTION = "requires_action", "waiting for the payer"
        RETRY_SCHEDULED = "retry_scheduled", "declined, will be tried again"
        SUCCEEDED = "succeeded", "paid"
        PARTIALLY_REFUNDED = "partially_refunded", "partly given back"
        REFUNDED = "refunded", "given back"
        DISPUTED = "disputed", "contested by the payer"
        REVERSED = "reversed", "given back by the bank"
        FAILED = "failed", "declined"
        CANCELLED = "cancelled", "cancelled"
        EXPIRED = "expired", "expired"

    class BillingReason(models.TextChoices):
        INITIAL = "initial", "first cycle"
        RENEWAL = "renewal", "renewal"
        TRIAL_CONVERSION = "trial_conversion", "end of a trial"
        PRORATION = "proration", "change of tier"

    class Trigger(models.TextChoices):
        INITIAL = "initial", "first attempt"
        RENEWAL = "renewal", "first attempt at a renewal"
        DUNNING = "dunning", "scheduled retry"
        CUSTOMER_RETRY = "customer_retry", "the payer asked"
        METHOD_UPDATE = "method_update", "a new payment method"
        ADMIN = "admin", "staff"

    CANCELLABLE = (Status.PENDING, Status.REQUIRES_ACTION, Status.RETRY_SCHEDULED)
    ON_THE_PAYERS_WORD = (Trigger.INITIAL, Trigger.CUSTOMER_RETRY, Trigger.METHOD_UPDATE)
    DUNNED = (BillingReason.RENEWAL, BillingReason.TRIAL_CONVERSION)
    OPEN = (*CANCELLABLE, Status.PROCESSING)
    REFUNDABLE = (Status.SUCCEEDED, Status.PARTIALLY_REFUNDED)
    CAPTURED = (*REFUNDABLE, Status.REFUNDED, Status.DISPUTED, Status.REVERSED)
    UNPAID = (Status.FAILED, Status.CANCELLED, Status.EXPIRED)
    WITHDRAWN = (Status.CANCELLED, Status.EXPIRED)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    reference_id = models.UUIDField()
    payer_id = models.UUIDField()
    payee_id = models.UUIDField()
    post_id = models.UUIDField(null=True)
    payment_method = models.ForeignKey(PaymentMethod, on_delete=models.PROTECT, null=True, related_name="orders")
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    platform_fee_amount = models.BigIntegerField()
    processor_fee_amount = models.BigIntegerField(default=0)
    creator_net_amount = models.BigIntegerField()
    refunded_amount = models.BigIntegerField(default=0)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.PENDING)
    captured_late = models.BooleanField(default=False)
    billing_request_id = models.UUIDField(null=True)
    billing_reason = models.CharField(max_length=20, choices=BillingReason.choices, null=True)
    billing_expires_at = models.DateTimeField(null=True)
    cycle_number = models.PositiveIntegerField(null=True)
    period_start = models.DateTimeField(null=True)
    period_end = models.DateTimeField(null=True)
    source_sequence = models.BigIntegerField(default=0)
    gateway = models.CharField(max_length=30)
    gateway_payment_id = models.CharField(max_length=255, null=True)
    next_action = models.JSONField(null=True)
    failure_code = models.CharField(max_length=40, null=True)
    decline_type = models.CharField(max_length=10, null=True)
    attempt_count = models.PositiveIntegerField(default=0)
    first_declined_at = models.DateTimeField(null=True)
    next_attempt_at = models.DateTimeField(default=timezone.now, null=True)
    next_trigger = models.CharField(max_length=20, choices=Trigger.choices, default=Trigger.INITIAL)
    method_sequence = models.BigIntegerField(default=0)
    lock_acquired_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)
    cleared_at = models.DateTimeField(null=True)
    sequence = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)

    objects = PaymentOrderQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(amount=F("platform_fee_amount") + F("processor_fee_amount") + F("creator_net_amount")),
                name="an_amount_is_its_parts",
            ),
            models.CheckConstraint(
                condition=Q(
                    amount__gt=0,
                    platform_fee_amount__gte=0,
                    processor_fee_amount__gte=0,
                    creator_net_amount__gte=0,
                    refunded_amount__gte=0,
                    refunded_amount__lte=F("amount"),
                ),
                name="no_part_is_negative_and_refunds_fit",
            ),
            models.CheckConstraint(condition=~Q(payer_id=F("payee_id")), name="nobody_pays_themselves"),
            models.CheckConstraint(
                condition=Q(kind="subscription", cycle_number__isnull=False)
                | (~Q(kind="subscription") & Q(cycle_number__isnull=True)),
                name="only_subscriptions_have_cycles",
            ),
            models.CheckConstraint(
                condition=Q(status__in=CAPTURED, completed_at__isnull=False)
                | (~Q(status__in=CAPTURED) & Q(completed_at__isnull=True, refunded_amount=0, captured_late=False)),
                name="only_captured_money_is_completed",
            ),
            models.UniqueConstraint(fields=["gateway", "gateway_payment_id"], name="a_gateway_payment_has_one_order"),
            models.UniqueConstraint(
                F("kind"),
                F("reference_id"),
                Coalesce("cycle_number", 0),
                condition=~Q(status__in=["failed", "cancelled", "expired"]) & Q(captured_late=False),
                name="one_live_order_per_reference_and_cycle",
            ),
            models.UniqueConstraint(fields=["billing_request_id"], name="one_order_per_billing_request"),
            models.CheckConstraint(condition=Q(currency__regex=r"^[A-Z]{3}$"), name="order_currency_is_a_code"),
            known(
                "status",
                [
                    "pending",
                    "processing",
                    "requires_action",
                    "retry_scheduled",
                    "succeeded",
                    "partially_refunded",
                    "refunded",
                    "disputed",
                    "reversed",
                    "failed",
                    "cancelled",
                    "expired",
                ],
                "payment_order_status_is_known",
            ),
            known("kind", ["subscription", "tip", "post_purchase"], "payment_order_kind_is_known"),
            known(
                "billing_reason",
                ["initial", "renewal", "trial_conversion", "proration"],
                "payment_order_billing_reason_is_known",
            ),
            known("next_trigger", list(TRIGGERS), "payment_order_next_trigger_is_known"),
            models.CheckConstraint(
                condition=~Q(status="retry_scheduled")
                | Q(billing_expires_at__isnull=False, first_declined_at__isnull=False, failure_code__isnull=False),
                name="a_retry_has_an_end_and_a_reason",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["payer_id", "-created_at", "-id"], name="orders_of_payer"),
            models.Index(fields=["payee_id", "-created_at", "-id"], name="orders_of_payee"),
            models.Index(fields=["reference_id"], name="orders_of_reference"),
            models.Index(fields=["post_id"], condition=Q(kind="post_purchase"), name="purchase_orders_of_post"),
            models.Index(
                fields=["next_attempt_at"],
                condition=Q(status__in=["pending", "retry_scheduled"]),
                name="orders_to_charge",
            ),
            models.Index(fields=["lock_acquired_at"], condition=Q(status="processing"), name="orders_at_the_gateway"),
            models.Index(
                fields=["completed_at"],
                condition=Q(cleared_at__isnull=True, status__in=["succeeded", "partially_refunded"]),
                name="orders_to_clear",
            ),
            models.Index(
                fields=["expires_at"],
                condition=Q(status__in=["pending", "requires_action", "retry_scheduled"]),
                name="orders_to_expire",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {shown_money(self.amount, self.currency)} {self.get_status_display()}"

    @property
    def is_captured(self) -> bool:
        """Whether its money ever came."""
        return self.status in self.CAPTURED

    @property
    def is_dunned(self) -> bool:
        """Whether it is a cycle that is tried again until its billing request ends."""
        return (
            self.billing_reason in self.DUNNED
            and self.billing_expires_at is not None
            and self.billing_expires_at > timezone.now()
        )

    @property
    def parts(self) -> Split:
        """Who gets what of the amount."""
        return Split(
            platform_fee=self.platform_fee_amount,
            processor_fee=self.processor_fee_amount,
            creator_net=self.creator_net_amount,
        )


class PaymentAttempt(models.Model):
    """One question to the gateway; committed before it is asked, so that the answer can always be looked up."""

    class Status(models.TextChoices):
        PROCESSING = "processing", "asked"
        REQUIRES_ACTION = "requires_action", "waiting for the payer"
        SUCCEEDED = "succeeded", "captured"
        DECLINED = "declined", "declined"
        CANCELLED = "cancelled", "voided"

    FINISHED = (Status.SUCCEEDED, Status.DECLINED, Status.CANCELLED)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order = models.ForeignKey(PaymentOrder, on_delete=models.PROTECT, related_name="attempts")
    number = models.PositiveIntegerField()
    trigger = models.CharField(
        max_length=20, choices=PaymentOrder.Trigger.choices, default=PaymentOrder.Trigger.INITIAL
    )
    gateway_idempotency_key = models.CharField(max_length=60, unique=True)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.PROCESSING)
    decline_code = models.CharField(max_length=60, blank=True, default="")
    decline_message = models.TextField(blank=True, default="")
    confirmed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["order", "number"], name="attempts_of_an_order_are_numbered"),
            models.CheckConstraint(
                condition=Q(status__in=["succeeded", "declined", "cancelled"], finished_at__isnull=False)
                | Q(status__in=["processing", "requires_action"], finished_at__isnull=True),
                name="a_finished_attempt_says_when",
            ),
            known(
                "status",
                ["processing", "requires_action", "succeeded", "declined", "cancelled"],
                "payment_attempt_status_is_known",
            ),
            known("trigger", list(TRIGGERS), "payment_attempt_trigger_is_known"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["created_at"], condition=Q(status="requires_action"), name="attempts_with_the_payer"),
            models.Index(fields=["finished_at"], condition=Q(status="declined"), name="declines_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.gateway_idempotency_key} {self.status}"

    @property
    def is_finished(self) -> bool:
        """Whether the gateway's last word is known."""
        return self.status in self.FINISHED
