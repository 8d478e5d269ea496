"""Money on its way back."""

from datetime import datetime
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone
from uuid_utils.compat import uuid7

from payments.models.constraints import known
from payments.models.orders import PaymentOrder


class RefundQuerySet(models.QuerySet["Refund"]):
    """Questions about money on its way back."""

    def due(self, before: datetime) -> Self:
        """Refunds that nobody is bringing to the gateway."""
        return self.filter(Q(lock_acquired_at=None) | Q(lock_acquired_at__lt=before), status="pending")

    def reserved(self) -> int:
        """The sum that is promised and not yet given."""
        total: dict[str, Any] = self.filter(status="pending").aggregate(total=models.Sum("amount"))
        return int(total["total"] or 0)


class Refund(models.Model):
    """Money to give back of one order; pending and succeeded ones never exceed the order."""

    class Status(models.TextChoices):
        PENDING = "pending", "on its way"
        SUCCEEDED = "succeeded", "given back"
        FAILED = "failed", "refused by the gateway"

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

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order = models.ForeignKey(PaymentOrder, on_delete=models.PROTECT, related_name="refunds")
    amount = models.BigIntegerField()
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
            models.UniqueConstraint(
                fields=["order", "reason"],
                condition=Q(source="system"),
                name="the_system_refunds_a_reason_once",
            ),
            known("status", ["pending", "succeeded", "failed"], "refund_status_is_known"),
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
        return f"refund {self.amount} {self.status}"
