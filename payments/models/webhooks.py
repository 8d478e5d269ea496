"""What gateways told us: stored before anything else is done, handled once."""

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone
from uuid_utils.compat import uuid7


class GatewayEventQuerySet(models.QuerySet["GatewayEvent"]):
    """Questions about what gateways told us."""

    def due(self, now: datetime) -> Self:
        """Events to handle now."""
        return self.filter(handled_at=None, next_attempt_at__lte=now)

    def outlived(self, before: datetime) -> Self:
        """Handled events that came before this; the gateway will not send them again."""
        return self.filter(handled_at__isnull=False, received_at__lt=before)


class GatewayEvent(models.Model):
    """One webhook; a hint to look, for what is true is asked of the gateway. `next_attempt_at` null: given up."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    gateway = models.CharField(max_length=30)
    external_id = models.CharField(max_length=255)
    type = models.CharField(max_length=100)
    payload = models.JSONField()
    livemode = models.BooleanField()
    received_at = models.DateTimeField(default=timezone.now)
    handled_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=timezone.now, null=True)
    last_error = models.CharField(max_length=500, blank=True, default="")

    objects = GatewayEventQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-received_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["gateway", "external_id"], name="a_gateway_event_is_stored_once"),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["next_attempt_at"], condition=Q(handled_at__isnull=True), name="gateway_events_to_handle"
            ),
            models.Index(fields=["-received_at", "-id"], name="gateway_events_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.gateway} {self.type} {self.external_id}"
