"""What is sold singly: tips and posts."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from uuid_utils.compat import uuid7

from api.money import shown_money
from payments.models.constraints import known
from payments.models.orders import PaymentOrder


class Sale(models.Model):
    """What a tip and a bought post have in common: one order, and its fate in the buyer's words."""

    class Status(models.TextChoices):
        PENDING = "pending", "waiting for the money"
        COMPLETED = "completed", "paid"
        FAILED = "failed", "declined"
        VOID = "void", "cancelled or expired"
        REFUNDED = "refunded", "given back"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order = models.OneToOneField(PaymentOrder, on_delete=models.PROTECT, related_name="%(class)s")
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    completed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        abstract = True


class Tip(Sale):
    """Money given for nothing in return."""

    sender_id = models.UUIDField()
    recipient_id = models.UUIDField()
    post_id = models.UUIDField(null=True)
    message = models.CharField(max_length=500, blank=True, default="")
    is_anonymous = models.BooleanField(default=False)

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(sender_id=F("recipient_id")), name="nobody_tips_themselves"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="a_tip_is_positive"),
            known("status", ["pending", "completed", "failed", "void", "refunded"], "tip_status_is_known"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["sender_id", "-created_at", "-id"], name="tips_sent"),
            models.Index(fields=["recipient_id", "-created_at", "-id"], name="tips_received"),
        ]

    def __str__(self) -> str:
        return f"tip {shown_money(self.amount, self.currency)} {self.status}"


class PostPurchase(Sale):
    """A post bought singly; amount and price version prove what was agreed."""

    buyer_id = models.UUIDField()
    creator_id = models.UUIDField()
    post_id = models.UUIDField()
    price_version = models.PositiveIntegerField()
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["buyer_id", "post_id"],
                condition=Q(status__in=["pending", "completed"]),
                name="a_post_is_bought_once",
            ),
            models.CheckConstraint(condition=~Q(buyer_id=F("creator_id")), name="nobody_buys_their_own_post"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="a_purchase_is_positive"),
            models.CheckConstraint(
                condition=Q(status="refunded", revoked_at__isnull=False)
                | (~Q(status="refunded") & Q(revoked_at__isnull=True)),
                name="a_refunded_purchase_is_revoked",
            ),
            known("status", ["pending", "completed", "failed", "void", "refunded"], "purchase_status_is_known"),
        ]
        indexes: ClassVar = [models.Index(fields=["buyer_id", "-created_at", "-id"], name="purchases_of_buyer")]

    def __str__(self) -> str:
        return f"purchase of {self.post_id} {self.status}"
