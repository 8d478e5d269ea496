"""Payments that a payer contests with their bank."""

from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import F, Q, Sum
from django.utils import timezone
from uuid_utils.compat import uuid7

from payments.fees import Split
from payments.models.constraints import known
from payments.models.orders import PaymentOrder
from payments.models.refunds import Refund


class DisputeQuerySet(models.QuerySet["Dispute"]):
    """Questions about contested payments."""

    def open(self) -> Self:
        """Those that are not decided."""
        return self.filter(status__in=Dispute.OPEN)

    def closed(self) -> Self:
        """Those that are decided."""
        return self.filter(status__in=Dispute.CLOSED)

    def held(self) -> Split:
        """Whose money is held, added up."""
        shares: dict[str, Any] = self.open().aggregate(
            creator=Sum("creator_share", default=0),
            platform=Sum("platform_share", default=0),
            processor=Sum("processor_share", default=0),
        )
        return Split(
            platform_fee=int(shares["platform"]),
            processor_fee=int(shares["processor"]),
            creator_net=int(shares["creator"]),
        )


class Dispute(models.Model):
    """One contest of a payment; `held_amount` is what was left of the payment when it came, and whose."""

    class Status(models.TextChoices):
        NEEDS_RESPONSE = "needs_response", "needs a response"
        UNDER_REVIEW = "under_review", "under review"
        WON = "won", "won: the money stays"
        LOST = "lost", "lost: the money went back"

    OPEN = (Status.NEEDS_RESPONSE, Status.UNDER_REVIEW)
    CLOSED = (Status.WON, Status.LOST)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order = models.ForeignKey(PaymentOrder, on_delete=models.PROTECT, related_name="disputes")
    gateway_dispute_id = models.CharField(max_length=255, unique=True)
    amount = models.BigIntegerField()
    held_amount = models.BigIntegerField()
    creator_share = models.BigIntegerField()
    platform_share = models.BigIntegerField()
    processor_share = models.BigIntegerField()
    reason = models.CharField(max_length=60, blank=True, default="")
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.NEEDS_RESPONSE)
    refund = models.OneToOneField(Refund, on_delete=models.PROTECT, null=True, related_name="dispute")
    opened_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True)

    objects = DisputeQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-opened_at", "-id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(
                    amount__gt=0,
                    held_amount__gte=0,
                    held_amount__lte=F("amount"),
                    creator_share__gte=0,
                    platform_share__gte=0,
                    processor_share__gte=0,
                    held_amount=F("creator_share") + F("platform_share") + F("processor_share"),
                ),
                name="what_a_dispute_holds_is_shared_out",
            ),
            models.UniqueConstraint(
                fields=["order"],
                condition=Q(status__in=["needs_response", "under_review"]),
                name="one_open_dispute_per_payment",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["won", "lost"], closed_at__isnull=False)
                | Q(status__in=["needs_response", "under_review"], closed_at__isnull=True),
                name="a_closed_dispute_says_when",
            ),
            known("status", ["needs_response", "under_review", "won", "lost"], "dispute_status_is_known"),
        ]

    def __str__(self) -> str:
        return f"dispute of {self.order_id} {self.status}"

    @property
    def is_closed(self) -> bool:
        """Whether it is decided."""
        return self.status in self.CLOSED

    @property
    def shares(self) -> Split:
        """Whose money is held."""
        return Split(
            platform_fee=self.platform_share, processor_fee=self.processor_share, creator_net=self.creator_share
        )
