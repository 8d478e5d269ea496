"""The tables of the benchmarks' own room, and those of a plain outbox and inbox to compare with."""

from typing import ClassVar

from django.db import models
from django.db.models import Q


class Counter(models.Model):
    """What a writer changes and what a handler answers with: one row, one number."""

    id = models.UUIDField(primary_key=True)
    number = models.BigIntegerField(default=0)

    objects: ClassVar[models.Manager["Counter"]] = models.Manager()

    def __str__(self) -> str:
        return f"{self.id}: {self.number}"


class Written(models.Model):
    """The change that an event tells of: the commit of this row is the event's."""

    event_id = models.TextField(primary_key=True)

    objects: ClassVar[models.Manager["Written"]] = models.Manager()

    def __str__(self) -> str:
        return self.event_id


class Effect(models.Model):
    """What a handler did: the commit of this row is the effect's."""

    event_id = models.TextField(primary_key=True)

    objects: ClassVar[models.Manager["Effect"]] = models.Manager()

    def __str__(self) -> str:
        return self.event_id


class PlainOutboxEvent(models.Model):
    """An outbox row as it is usually written: a flag says whether it was published."""

    topic = models.CharField(max_length=249)
    key = models.TextField()
    payload = models.BinaryField()
    headers = models.JSONField()
    published_at = models.DateTimeField(null=True)

    objects: ClassVar[models.Manager["PlainOutboxEvent"]] = models.Manager()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["id"], condition=Q(published_at=None), name="plain_unpublished")]

    def __str__(self) -> str:
        return f"{self.topic} {self.pk}"


class PlainInboxEvent(models.Model):
    """An inbox row as it is usually written."""

    event_id = models.CharField(max_length=100, unique=True)
    handled_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager["PlainInboxEvent"]] = models.Manager()

    def __str__(self) -> str:
        return self.event_id
