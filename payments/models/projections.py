"""What payments knows of other rooms, from their events: posts on sale, and subscriptions that may be charged."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from payments.models.constraints import known


class PostOffer(models.Model):
    """A post as a thing to buy; once deleted it stays so, whatever arrives later."""

    post_id = models.UUIDField(primary_key=True)
    creator_id = models.UUIDField()
    on_sale = models.BooleanField(default=False)
    amount = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3, null=True)
    price_version = models.PositiveIntegerField(default=0)
    included_tier_ids = ArrayField(models.UUIDField(), default=list)
    source_sequence = models.BigIntegerField(default=0)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["post_id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(on_sale=False) | Q(amount__gt=0, currency__isnull=False, deleted_at__isnull=True),
                name="a_post_on_sale_has_a_price",
            )
        ]

    def __str__(self) -> str:
        return f"post {self.post_id}"


class SubscriptionRef(models.Model):
    """A subscription as a thing to charge; once over it stays so, whatever arrives later."""

    class Status(models.TextChoices):
        INCOMPLETE = "incomplete", "incomplete"
        TRIALING = "trialing", "trialing"
        ACTIVE = "active", "active"
        PAST_DUE = "past_due", "past due"
        CANCELLED = "cancelled", "cancelled"
        EXPIRED = "expired", "expired"

    TERMINAL = (Status.CANCELLED, Status.EXPIRED)

    subscription_id = models.UUIDField(primary_key=True)
    subscriber_id = models.UUIDField()
    creator_id = models.UUIDField()
    tier_id = models.UUIDField()
    status = models.CharField(max_length=12, choices=Status.choices)
    access_until = models.DateTimeField(null=True)
    payment_method_id = models.UUIDField(null=True)
    payment_method_sequence = models.BigIntegerField(default=0)
    cancels_at = models.DateTimeField(null=True)
    cancel_sequence = models.BigIntegerField(default=0)
    source_sequence = models.BigIntegerField(default=0)

    class Meta:
        ordering: ClassVar = ["subscription_id"]
        constraints: ClassVar = [
            known(
                "status",
                ["incomplete", "trialing", "active", "past_due", "cancelled", "expired"],
                "subscription_ref_status_is_known",
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["subscriber_id", "creator_id"], name="refs_of_subscriber"),
            models.Index(fields=["payment_method_id"], name="refs_of_method"),
        ]

    def __str__(self) -> str:
        return f"subscription {self.subscription_id} {self.status}"

    @property
    def is_over(self) -> bool:
        """Whether nothing may be charged for it any more."""
        return self.status in self.TERMINAL
