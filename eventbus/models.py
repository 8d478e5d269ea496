"""The bus's tables: what waits to be published, who publishes it, what was handled, what could not be."""

from typing import ClassVar, Self

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class OutboxEvent(models.Model):
    """A committed event that Kafka has not acknowledged yet; the row goes when it has.

    `id` is drawn under the aggregate's lock, so among one key's visible rows it gives the order of their transactions.
    """

    id = models.BigAutoField(primary_key=True)
    event_id = models.UUIDField()
    bucket = models.SmallIntegerField()
    topic = models.CharField(max_length=249)
    key = models.TextField()
    payload = models.BinaryField()
    headers = models.JSONField()
    aggregate_type = models.CharField(max_length=100)
    aggregate_id = models.TextField()
    sequence = models.BigIntegerField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [models.Index(fields=["bucket", "id"], name="outbox_in_bucket_order")]

    def __str__(self) -> str:
        return f"{self.topic} {self.event_id}"


class RelayWorker(models.Model):
    """A running relay process: alive while its row is renewed."""

    id = models.UUIDField(primary_key=True)
    host = models.CharField(max_length=255)
    pid = models.IntegerField()
    started_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


class RelayBucket(models.Model):
    """One share of the outbox's keys, and the lease of the relay that publishes it; `epoch` grows with every owner."""

    bucket = models.SmallIntegerField(primary_key=True)
    owner = models.UUIDField(null=True)
    epoch = models.BigIntegerField(db_default=0)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["bucket"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(owner__isnull=True, expires_at__isnull=True)
                | Q(owner__isnull=False, expires_at__isnull=False),
                name="a_lease_has_owner_and_expiry",
            )
        ]

    def __str__(self) -> str:
        return f"bucket {self.bucket}"


class HeldKey(models.Model):
    """A key that waits for an operator, because the broker refused its event or a person held it; others go on."""

    topic = models.CharField(max_length=249)
    key = models.TextField()
    outbox_id = models.BigIntegerField(null=True)  # the refused event; none when a person holds the key
    reason = models.TextField()
    held_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["topic", "key"], name="one_hold_per_key")]

    def __str__(self) -> str:
        return f"{self.topic} {self.key}"


class InboxEvent(models.Model):
    """This group has taken care of this event: its effect is committed with this row, or it is parked."""

    group = models.CharField(max_length=100)
    event_id = models.CharField(max_length=400)
    topic = models.CharField(max_length=249)
    partition = models.IntegerField()
    offset = models.BigIntegerField()
    handled_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["group", "event_id"], name="an_event_is_handled_once_per_group")
        ]
        indexes: ClassVar = [BrinIndex(fields=["handled_at"], name="inbox_by_age", autosummarize=True)]

    def __str__(self) -> str:
        return f"{self.group} {self.event_id}"


class ParkedQuerySet(models.QuerySet["ParkedEvent"]):
    """Questions about what could not be handled."""

    def heads(self) -> Self:
        """The rows their keys wait for."""
        return self.filter(state__in=ParkedEvent.HEADS)

    def dead(self) -> Self:
        """The dead letters."""
        return self.filter(state=ParkedEvent.State.DEAD)

    def count_by_state(self, group: str) -> dict[str, int]:
        """How many of a group are in each state."""
        counted = dict(self.filter(group=group).values_list("state").annotate(models.Count("id")))
        return {state: counted.get(state, 0) for state in ParkedEvent.State.values}

    def of_key(self, group: str, topic: str, key: str) -> Self:
        """One key's rows in the order in which they must be handled."""
        return self.filter(group=group, topic=topic, key=key).order_by("id")


class ParkedEvent(models.Model):
    """A message that could not be handled yet, or that waits in order behind one of its key."""

    class State(models.TextChoices):
        RETRYING = "retrying", "retrying"
        QUEUED = "queued", "queued behind its key"
        DEAD = "dead", "dead letter"

    HEADS = (State.RETRYING, State.DEAD)

    id = models.BigAutoField(primary_key=True)
    group = models.CharField(max_length=100)
    topic = models.CharField(max_length=249)
    key = models.TextField()
    partition = models.IntegerField()
    offset = models.BigIntegerField()
    event_id = models.CharField(max_length=400)
    payload = models.BinaryField(null=True)
    headers = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State.choices)
    attempts = models.IntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    parked_at = models.DateTimeField(db_default=Now())
    error_class = models.CharField(max_length=200, blank=True, default="")
    error = models.TextField(blank=True, default="")
    traceback = models.TextField(blank=True, default="")

    objects = ParkedQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["group", "topic", "key"],
                condition=Q(state="retrying"),
                name="one_retrying_head_per_key",
            ),
            models.UniqueConstraint(fields=["group", "event_id"], name="an_event_is_parked_once"),
            models.CheckConstraint(
                condition=Q(state="retrying", next_attempt_at__isnull=False)
                | (~Q(state="retrying") & Q(next_attempt_at__isnull=True)),
                name="only_a_retrying_head_is_due",
            ),
            models.CheckConstraint(condition=Q(state__in=("retrying", "queued", "dead")), name="parked_state_is_known"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["group", "next_attempt_at"], condition=Q(state="retrying"), name="parked_due"),
            models.Index(fields=["group", "topic", "key", "id"], name="parked_in_key_order"),
        ]

    def __str__(self) -> str:
        return f"{self.group} {self.topic} {self.event_id}"


class OperatorAction(models.Model):
    """What a person did to the bus by hand, and why; never changed."""

    class Action(models.TextChoices):
        RETRY = "retry", "retry a dead letter"
        EDIT = "edit", "edit a dead letter"
        DISCARD = "discard", "discard a dead letter"
        HOLD = "hold", "hold a key"
        RELEASE = "release", "release a held key"
        SKIP = "skip", "skip the first event of a held key"

    action = models.CharField(max_length=20, choices=Action.choices)
    actor = models.CharField(max_length=200)
    target = models.TextField()
    reason = models.TextField(blank=True, default="")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["-at", "-id"]

    def __str__(self) -> str:
        return f"{self.action} {self.target}"
