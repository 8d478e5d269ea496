"""The sandbox gateway's own books: in life they would be at another company."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from payments.models.constraints import known


class SandboxCharge(models.Model):
    """What the sandbox did for one idempotency key."""

    class Status(models.TextChoices):
        CAPTURED = "captured", "captured"
        DECLINED = "declined", "declined"
        REQUIRES_ACTION = "requires_action", "waiting for the payer"
        CANCELLED = "cancelled", "voided"

    idempotency_key = models.CharField(primary_key=True, max_length=60)
    gateway_payment_id = models.CharField(max_length=60, unique=True)
    token = models.CharField(max_length=255)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=20, choices=Status.choices)
    decline_code = models.CharField(max_length=40, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            known("status", ["captured", "declined", "requires_action", "cancelled"], "sandbox_charge_status_is_known")
        ]

    def __str__(self) -> str:
        return f"{self.gateway_payment_id} {self.status}"


class SandboxDispute(models.Model):
    """A charge that the sandbox's cardholder contests."""

    class Status(models.TextChoices):
        NEEDS_RESPONSE = "needs_response", "needs a response"
        UNDER_REVIEW = "under_review", "under review"
        WON = "won", "won"
        LOST = "lost", "lost"

    gateway_dispute_id = models.CharField(primary_key=True, max_length=60)
    charge = models.ForeignKey(SandboxCharge, on_delete=models.PROTECT, related_name="disputes")
    amount = models.BigIntegerField()
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.NEEDS_RESPONSE)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="a_sandbox_dispute_is_positive"),
            known("status", ["needs_response", "under_review", "won", "lost"], "sandbox_dispute_status_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.gateway_dispute_id} {self.status}"


class SandboxRefund(models.Model):
    """What the sandbox gave back for one idempotency key."""

    class Status(models.TextChoices):
        PENDING = "pending", "waits for the payer's bank"
        SUCCEEDED = "succeeded", "given back"
        FAILED = "failed", "sent back by the payer's bank"

    idempotency_key = models.CharField(primary_key=True, max_length=60)
    charge = models.ForeignKey(SandboxCharge, on_delete=models.PROTECT, related_name="refunds")
    amount = models.BigIntegerField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.SUCCEEDED)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="a_sandbox_refund_is_positive"),
            known("status", ["pending", "succeeded", "failed"], "sandbox_refund_status_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.charge_id} -{self.amount}"
