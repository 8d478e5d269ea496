"""Money on its way back."""

from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from uuid_utils.compat import uuid7

from payments.fees import Split
from payments.models.constraints import known
from payments.models.orders import PaymentOrder


class RefundQuerySet(models.QuerySet["Refund"]):
    """Questions about money on its way back."""

    def due(self, now: datetime) -> Self:
        """Refunds that nobody is bringing to the gateway, and those it took on so long ago that it is asked again."""
        stale = Q(gateway_refund_id=None, lock_acquired_at__lt=now - Refund.STALE_AFTER)
        taken_on = Q(gateway_refund_id__isnull=False, lock_acquired_at__lt=now - Refund.ASKED_AGAIN_AFTER)
        return self.filter(Q(lock_acquired_at=None) | stale | taken_on, status="pending")

    def given(self) -> Split:
        """How those that were given back were shared out, added up."""
        shares: dict[str, Any] = self.filter(status="succeeded").aggregate(
            creator=models.Sum("creator_share", default=0),
            platform=models.Sum("platform_share", default=0),
            processor=models.Sum("processor_share", default=0),
        )
        return Split(
            platform_fee=int(shares["platform"]),
            processor_fee=int(shares["processor"]),
            creator_net=int(shares["creator"]),
        )

    def waiting(self) -> Self:
        """Refunds that wait until the bank has decided, oldest first."""
        return self.filter(status="waiting").order_by("created_at", "id")

    def void(self) -> Self:
        """Refunds that the system owed and that other refunds left nothing for, oldest first."""
        return self.filter(status="void").order_by("created_at", "id")

    def reserved(self) -> int:
        """The sum that is promised and not yet given."""
        total: dict[str, Any] = self.filter(status="pending").aggregate(total=models.Sum("amount"))
        return int(total["total"] or 0)


class Refund(models.Model):
    """Money to give back of one order; pending and succeeded ones never exceed the order."""

    class Status(models.TextChoices):
        WAITING = "waiting", "until a dispute is decided"
        PENDING = "pending", "on its way"
        SUCCEEDED = "succeeded", "given back"
        FAILED = "failed", "refused by the gateway, or sent back by the payer's bank"
        VOID = "void", "nothing was left to give back"

    class Reason(models.TextChoices):
        REQUESTED_BY_CUSTOMER = "requested_by_customer", "the customer asked"
        DUPLICATE = "duplicate", "paid twice"
        FRAUDULENT = "fraudulent", "fraud"
        POST_UNAVAILABLE = "post_unavailable", "the post is gone"
        SUBSCRIPTION_NOT_PAYABLE = "subscription_not_payable", "the subscription is over"
        DISPUTE_PREVENTION = "dispute_prevention", "to prevent a dispute"
        OTHER = "other", "other"

    class Source(models.TextChoices):
        PAYEE = "payee", "the payee"
        STAFF = "staff", "staff"
        SYSTEM = "system", "the system"
        DISPUTE = "dispute", "a dispute"

    STALE_AFTER = timedelta(seconds=60)
    ASKED_AGAIN_AFTER = timedelta(hours=6)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order = models.ForeignKey(PaymentOrder, on_delete=models.PROTECT, related_name="refunds")
    amount = models.BigIntegerField()
    creator_share = models.BigIntegerField(null=True)
    platform_share = models.BigIntegerField(null=True)
    processor_share = models.BigIntegerField(null=True)
    reason = models.CharField(max_length=30, choices=Reason.choices)
    source = models.CharField(max_length=10, choices=Source.choices)
    revoke_access = models.BooleanField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    requested_by = models.UUIDField(null=True)
    gateway_refund_id = models.CharField(max_length=255, null=True, unique=True)
    refusal = models.CharField(max_length=100, blank=True, default="")
    lock_acquired_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    objects = RefundQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="a_refund_is_positive"),
            models.CheckConstraint(
                condition=Q(
                    status="succeeded",
                    creator_share__isnull=False,
                    platform_share__isnull=False,
                    processor_share__isnull=False,
                    amount=F("creator_share") + F("platform_share") + F("processor_share"),
                    creator_share__gte=0,
                    platform_share__gte=0,
                    processor_share__gte=0,
                )
                | ~Q(status="succeeded"),
                name="what_went_back_was_shared_out",
            ),
            models.UniqueConstraint(
                fields=["order", "reason"],
                condition=Q(source="system"),
                name="the_system_refunds_a_reason_once",
            ),
            known("status", ["waiting", "pending", "succeeded", "failed", "void"], "refund_status_is_known"),
            known(
                "reason",
                [
                    "requested_by_customer",
                    "duplicate",
                    "fraudulent",
                    "post_unavailable",
                    "subscription_not_payable",
                    "dispute_prevention",
                    "other",
                ],
                "refund_reason_is_known",
            ),
            known("source", ["payee", "staff", "system", "dispute"], "refund_source_is_known"),
        ]
        indexes: ClassVar = [models.Index(fields=["created_at"], condition=Q(status="pending"), name="refunds_to_send")]

    def __str__(self) -> str:
        return f"refund of {self.order_id} {self.status}"

    @property
    def shares(self) -> Split:
        """Whose money it was, once it has been given back."""
        return Split(
            platform_fee=self.platform_share or 0,
            processor_fee=self.processor_share or 0,
            creator_net=self.creator_share or 0,
        )
