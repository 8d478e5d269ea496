"""How somebody pays."""

from typing import ClassVar, Self
from uuid import UUID

from django.db import models
from django.utils import timezone
from uuid_utils.compat import uuid7

from payments.models.constraints import known


class PaymentMethodQuerySet(models.QuerySet["PaymentMethod"]):
    """Questions about stored ways to pay."""

    def usable_by(self, user_id: UUID) -> Self:
        """The user's own methods that can be charged."""
        return self.filter(owner_id=user_id, status=PaymentMethod.Status.ACTIVE)

    def shown_to(self, user_id: UUID) -> Self:
        """The user's methods, as long as they have not removed them."""
        return self.filter(owner_id=user_id).exclude(status=PaymentMethod.Status.REMOVED)


class PaymentMethod(models.Model):
    """A gateway's token for somebody's card, encrypted; only the gateway knows the card."""

    class Status(models.TextChoices):
        ACTIVE = "active", "active"
        INVALID = "invalid", "refused for good by its issuer"
        REMOVED = "removed", "removed by its owner"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner_id = models.UUIDField()
    gateway = models.CharField(max_length=30)
    encrypted_token = models.TextField()
    token_fingerprint = models.CharField(max_length=64)
    brand = models.CharField(max_length=30, blank=True, default="")
    last4 = models.CharField(max_length=4, blank=True, default="")
    exp_month = models.PositiveSmallIntegerField(null=True)
    exp_year = models.PositiveSmallIntegerField(null=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.ACTIVE)
    created_at = models.DateTimeField(default=timezone.now)

    objects = PaymentMethodQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["gateway", "token_fingerprint", "owner_id"], name="a_token_is_stored_once_per_owner"
            ),
            known("status", ["active", "invalid", "removed"], "payment_method_status_is_known"),
        ]
        indexes: ClassVar = [models.Index(fields=["owner_id", "-created_at", "-id"], name="methods_of_owner")]

    def __str__(self) -> str:
        return f"{self.brand} {self.last4}".strip() or str(self.id)

    @property
    def is_usable(self) -> bool:
        """Whether it can be charged."""
        return self.status == self.Status.ACTIVE
