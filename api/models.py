"""What the API itself remembers: which request with which key was answered how."""

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import F, Q
from uuid_utils.compat import uuid7


class IdempotencyRecordQuerySet(models.QuerySet["IdempotencyRecord"]):
    """Records by what may be done with them."""

    def expired(self, now: datetime) -> Self:
        """Those that no client may count on any more."""
        return self.filter(expires_at__lte=now)

    def held(self, record: "IdempotencyRecord") -> Self:
        """This record, while whoever loaded it still holds its lock."""
        return self.filter(pk=record.pk, state=IdempotencyRecord.State.RUNNING, locked_until=record.locked_until)


class IdempotencyRecord(models.Model):
    """One Idempotency-Key of one user at one endpoint, and the answer it got."""

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user_id = models.UUIDField()
    endpoint = models.CharField(max_length=200)
    key = models.CharField(max_length=64)
    request_hash = models.CharField(max_length=64)
    state = models.CharField(max_length=8, choices=State.choices, default=State.RUNNING)
    response_status = models.PositiveSmallIntegerField(null=True)
    response_body = models.TextField(blank=True)
    response_headers = models.JSONField(default=dict)
    resource_id = models.UUIDField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    locked_until = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)

    objects = IdempotencyRecordQuerySet.as_manager()

    ANSWER_FIELDS: ClassVar[list[str]] = [
        "state",
        "response_status",
        "response_body",
        "response_headers",
        "resource_id",
    ]

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user_id", "endpoint", "key"], name="one_answer_per_idempotency_key"),
            models.CheckConstraint(
                condition=Q(state="running", response_status__isnull=True)
                | Q(state="done", response_status__isnull=False),
                name="answer_stored_exactly_when_done",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("locked_until")), name="idempotency_record_outlives_its_lock"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.endpoint} {self.key} ({self.state})"
