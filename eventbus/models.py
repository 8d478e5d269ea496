"""The bus's tables: what waits to be published, who publishes it, what was handled, what could not be."""

from typing import ClassVar, Self

from django.contrib.postgres.indexes import BrinIndex, HashIndex
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


class ConsumerWorker(models.Model):
    """A consumer process: it renews its row while it runs, and takes it away when it ends as it should."""

    id = models.UUIDField(primary_key=True)
    group = models.CharField(max_length=100)
    host = models.CharField(max_length=255)
    pid = models.IntegerField()
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.group} {self.host}:{self.pid}"


class PausedTopic(models.Model):
    """A topic that a group does not read now, because its handlers fail for too many keys."""

    group = models.CharField(max_length=100)
    topic = models.CharField(max_length=249)
    reason = models.TextField()
    paused_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["group", "topic"], name="a_topic_is_paused_once")]

    def __str__(self) -> str:
        return f"{self.group} {self.topic}"


class BreakerRule(models.Model):
    """When a group's topic is paused; read again every few seconds. A group without one has the defaults."""

    group = models.CharField(max_length=100, unique=True)
    share = models.FloatField(
        default=0.5, help_text="Pause when more than this share of the keys fail; 1 never pauses."
    )
    least_keys = models.IntegerField(default=20, help_text="And at least so many keys fail.")
    window_seconds = models.FloatField(default=60.0, help_text="Keys handled within so many seconds count.")
    probe_seconds = models.FloatField(default=15.0, help_text="A paused topic is tried again after so many seconds.")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(share__gt=0, share__lte=1), name="a_breakers_share_is_a_part_of_all"),
            models.CheckConstraint(
                condition=Q(least_keys__gte=1, window_seconds__gt=0, probe_seconds__gt=0),
                name="a_breakers_numbers_are_positive",
            ),
        ]

    def __str__(self) -> str:
        return self.group


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
    crashes = models.IntegerField(default=0)  # attempts in a row whose end nobody lived to see
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


class JournalEvent(models.Model):
    """A copy of a message as it stood on its topic; the table is partitioned by the day of `time`, in UTC.

    `time` is the message's own, so a message that is delivered again meets its first copy in the same partition; a
    topic that was deleted and made anew starts its offsets again, but at other times. Rows of one topic and partition
    have ids in the order in which they were read. The database's primary key is (id, time).
    """

    id = models.BigAutoField(primary_key=True)
    time = models.DateTimeField()
    topic = models.CharField(max_length=249)
    partition = models.IntegerField()
    offset = models.BigIntegerField()
    key = models.TextField()
    event_id = models.CharField(max_length=400)
    correlation_id = models.TextField()
    causation_id = models.TextField(blank=True, default="")
    payload = models.BinaryField(null=True)
    headers = models.JSONField(default=dict)
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["topic", "partition", "offset", "time"], name="a_message_is_journaled_once")
        ]
        indexes: ClassVar = [
            models.Index(fields=["event_id"], name="journal_by_event"),
            # By hash, for these are as long as their producer likes, and a long text has no place in a B-tree.
            HashIndex(fields=["key"], name="journal_by_key"),
            HashIndex(fields=["correlation_id"], name="journal_by_story"),
            HashIndex(fields=["causation_id"], condition=~Q(causation_id=""), name="journal_by_cause"),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.event_id}"

    @property
    def place(self) -> str:
        """Where it stood: `topic:partition:offset`."""
        return f"{self.topic}:{self.partition}:{self.offset}"


class Replay(models.Model):
    """Events handed to one group once more: which, how far it has come, and what became of them.

    `position` says where to go on: `{"id": n}` in the journal, `{"topic:partition": offset}` in Kafka.
    """

    class Source(models.TextChoices):
        JOURNAL = "journal", "the journal"
        KAFKA = "kafka", "Kafka"

    class State(models.TextChoices):
        RUNNING = "running", "running"
        STOPPED = "stopped", "stopped at a failure"
        DONE = "done", "done"

    room = models.CharField(max_length=100)
    group = models.CharField(max_length=100)
    source = models.CharField(max_length=10, choices=Source.choices)
    choice = models.JSONField()
    again = models.JSONField(default=list)
    actor = models.CharField(max_length=200)
    reason = models.TextField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.RUNNING)
    position = models.JSONField(default=dict)
    end = models.JSONField(default=dict)
    handled = models.BigIntegerField(default=0)
    handled_again = models.BigIntegerField(default=0)
    skipped = models.BigIntegerField(default=0)
    error = models.TextField(blank=True, default="")
    started_at = models.DateTimeField(db_default=Now())
    moved_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=("running", "stopped", "done")), name="replay_state_is_known"),
            models.CheckConstraint(condition=Q(source__in=("journal", "kafka")), name="replay_source_is_known"),
        ]

    def __str__(self) -> str:
        return f"replay {self.pk} to {self.group}"

    @property
    def claims(self) -> str:
        """The name under which its repeated handlers take events in the inbox, so that each runs once."""
        return f"replay {self.pk}"


class OperatorAction(models.Model):
    """What a person did to the bus by hand, and why; never changed."""

    class Action(models.TextChoices):
        RETRY = "retry", "retry a dead letter"
        EDIT = "edit", "edit a dead letter"
        DISCARD = "discard", "discard a dead letter"
        HOLD = "hold", "hold a key"
        RELEASE = "release", "release a held key"
        SKIP = "skip", "skip the first event of a held key"
        REPLAY = "replay", "replay events"
        REBUILD = "rebuild", "rebuild a projection"
        RESUME = "resume", "resume a paused topic"

    action = models.CharField(max_length=20, choices=Action.choices)
    actor = models.CharField(max_length=200)
    target = models.TextField()
    reason = models.TextField(blank=True, default="")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["-at", "-id"]

    def __str__(self) -> str:
        return f"{self.action} {self.target}"
