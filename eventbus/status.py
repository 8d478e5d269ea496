"""The state of the bus at a glance: what waits, who publishes, who is behind, what is stuck."""

from datetime import datetime
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Count, Min, Q

from eventbus.conf import bus_settings
from eventbus.database import database_time
from eventbus.exceptions import TransportError
from eventbus.kafka.admin import Cluster
from eventbus.models import ConsumerWorker, HeldKey, OutboxEvent, ParkedEvent, PausedTopic, RelayBucket, RelayWorker
from eventbus.topics import topics_of


def bus_status() -> dict[str, Any]:
    """A JSON-ready picture; ages in seconds, lag in messages. `kafka` says why lag is missing when it is."""
    now = database_time()
    status: dict[str, Any] = {"outbox": _outbox(now), "relays": _relays(now), "held_keys": _held(now)}
    status |= {"parked": _parked(now), "consumers": _consumers(now), "paused_topics": _paused(now)}
    try:
        status["lag"] = _lag()
        status["kafka"] = "reachable"
    except (ImproperlyConfigured, TransportError) as error:
        status["lag"] = []
        status["kafka"] = str(error)
    return status


def _outbox(now: datetime) -> dict[str, Any]:
    found = OutboxEvent.objects.aggregate(waiting=Count("id"), oldest=Min("created_at"))
    return {"waiting": found["waiting"], "oldest_age_seconds": _age(found["oldest"], now)}


def _relays(now: datetime) -> list[dict[str, Any]]:
    buckets: dict[Any, list[int]] = {}
    for row in RelayBucket.objects.filter(expires_at__gt=now):
        buckets.setdefault(row.owner, []).append(row.bucket)
    return [
        {"id": str(worker.id), "host": worker.host, "pid": worker.pid, "buckets": buckets.get(worker.id, [])}
        for worker in RelayWorker.objects.filter(expires_at__gt=now).order_by("started_at")
    ]


def _consumers(now: datetime) -> list[dict[str, Any]]:
    return [
        {"group": worker.group, "host": worker.host, "pid": worker.pid, "seen_age_seconds": _age(worker.seen_at, now)}
        for worker in ConsumerWorker.objects.order_by("group", "started_at")
    ]


def _paused(now: datetime) -> list[dict[str, Any]]:
    return [
        {"group": row.group, "topic": row.topic, "reason": row.reason, "age_seconds": _age(row.paused_at, now)}
        for row in PausedTopic.objects.order_by("group", "topic")
    ]


def _held(now: datetime) -> list[dict[str, Any]]:
    return [
        {"topic": held.topic, "key": held.key, "reason": held.reason, "age_seconds": _age(held.held_at, now)}
        for held in HeldKey.objects.order_by("held_at")[:100]
    ]


def _parked(now: datetime) -> list[dict[str, Any]]:
    state = ParkedEvent.State
    counted = (
        ParkedEvent.objects.values("group", "topic")
        .annotate(
            keys=Count("key", distinct=True),
            events=Count("id"),
            retrying=Count("id", filter=Q(state=state.RETRYING)),
            dead=Count("id", filter=Q(state=state.DEAD)),
            oldest=Min("parked_at"),
        )
        .order_by("group", "topic")
    )
    return [
        {**{name: row[name] for name in ("group", "topic", "keys", "events", "retrying", "dead")}}
        | {"oldest_age_seconds": _age(row["oldest"], now)}
        for row in counted
    ]


def _lag() -> list[dict[str, Any]]:
    cluster, settings = Cluster(), bus_settings()
    rows = []
    for name, reader in settings.readers.items():
        rows += [
            {"group": lag.group, "topic": lag.topic, "lag": lag.lag, "end": lag.end}
            for lag in cluster.lag(reader.group_id, topics_of(name))
        ]
    return rows


def _age(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else max(0.0, round((now - moment).total_seconds(), 3))
