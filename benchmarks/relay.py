"""The relay against the fastest loop that produces the same messages, and against an outbox written the usual way."""

import time
from collections.abc import Callable
from functools import partial
from statistics import median

from confluent_kafka import KafkaError, Producer
from django.db import transaction
from django.utils import timezone

from benchmarks import backlog_rows
from benchmarks.effort import Effort
from benchmarks.ground import BrokerKind, broker
from benchmarks.models import PlainOutboxEvent
from benchmarks.report import Bar, Report
from benchmarks.rounds import Figures, by_turns, ratio
from benchmarks.running import drain_outbox, ready_relay, usual_collector
from eventbus.models import OutboxEvent

Message = tuple[str, bytes, bytes, dict[str, str | bytes | None]]  # topic, key, value, headers
RAW, RELAY, PLAIN = "raw produce", "relay", "plain ORM outbox"
EVENTS = 40_000
PLAIN_EVENTS = 10_000  # the slow one needs fewer to show its pace
PLAIN_BATCH = 1000
SHARE_OF_RAW: dict[BrokerKind, float] = {"builtin": 0.40, "apache": 0.50}
TIMES_PLAIN = 4.0


def run(effort: Effort) -> Report:
    """Both brokers, three variants each."""
    report = Report(
        "relay",
        "events/s from a filled outbox to the broker's acknowledgement, 300 bytes and our headers",
        ["broker", "variant", "events/s", "share of raw", "CPU us/event"],
    )
    events = effort.count(EVENTS, least=2000)
    backlog_rows.make_template(events)
    for kind, share in SHARE_OF_RAW.items():
        with broker(kind) as address:
            figures, costs = measure(address, events=events, effort=effort)
        for name, rates in figures.items():
            report.rows.append([kind, name, median(rates), ratio(figures, name, RAW), median(costs[name])])
        report.bars += [
            Bar(f"{kind}: relay / raw produce", ratio(figures, RELAY, RAW), share, ">="),
            Bar(f"{kind}: relay / plain ORM outbox", ratio(figures, RELAY, PLAIN), TIMES_PLAIN, ">="),
        ]
    return report


def measure(address: str, *, events: int, effort: Effort) -> tuple[Figures, Figures]:
    """Of each variant, round by round: events per second, and microseconds of CPU an event costs this process.

    Every producer is connected before the first.
    """
    rows = OutboxEvent.objects.raw(f"SELECT * FROM {backlog_rows.TEMPLATE} ORDER BY id")
    messages: list[Message] = [(row.topic, row.key.encode(), bytes(row.payload), row.headers) for row in rows]
    plain = effort.count(PLAIN_EVENTS, least=500)
    producer = connected_producer(address, messages[0])
    with ready_relay() as relay:
        drain_outbox(relay, events)
        costs: Figures = {RAW: [], RELAY: [], PLAIN: []}
        figures = by_turns(
            {
                RAW: as_usual(costed(lambda: produce_raw(producer, messages), costs[RAW], events)),
                RELAY: costed(lambda: drain_outbox(relay, events), costs[RELAY], events),
                PLAIN: as_usual(costed(lambda: drain_plain_outbox(producer, plain), costs[PLAIN], plain)),
            },
            rounds=effort.rounds,
        )
    return figures, costs


def as_usual(variant: Callable[[], float]) -> Callable[[], float]:
    """The variant in a process whose garbage collector nobody has touched."""

    def run_as_usual() -> float:
        with usual_collector():
            return variant()

    return run_as_usual


def costed(variant: Callable[[], float], costs: list[float], events: int) -> Callable[[], float]:
    """The variant, its CPU noted: what it would take on a machine that others keep busy too."""

    def run_costed() -> float:
        before = time.process_time()
        rate = variant()
        costs.append((time.process_time() - before) / events * 1e6)
        return rate

    return run_costed


def produce_raw(producer: Producer, messages: list[Message]) -> float:
    """The ceiling: messages that lie in memory, a callback for each, one flush."""
    acknowledged = 0

    def note(error: KafkaError | None, _: object) -> None:
        nonlocal acknowledged
        acknowledged += error is None

    started = time.perf_counter()
    for topic, key, value, headers in messages:
        producer.produce(topic, value=value, key=key, headers=headers, on_delivery=note)
        producer.poll(0)
    producer.flush()
    elapsed = time.perf_counter() - started
    require(acknowledged, len(messages))
    return acknowledged / elapsed


def drain_plain_outbox(producer: Producer, events: int) -> float:
    """A thousand at a time: lock, produce, flush, mark as published, commit."""
    fill_plain_outbox(events)
    started = time.perf_counter()
    published = 0
    while batch := publish_plain_batch(producer):
        published += batch
    elapsed = time.perf_counter() - started
    require(published, events)
    return published / elapsed


@transaction.atomic
def publish_plain_batch(producer: Producer) -> int:
    """One batch of the plain outbox; the number published."""
    waiting = PlainOutboxEvent.objects.filter(published_at=None).order_by("id")
    rows = list(waiting.select_for_update(skip_locked=True)[:PLAIN_BATCH])
    published: list[int] = []

    def note(pk: int, error: KafkaError | None, _: object) -> None:
        if error is None:
            published.append(pk)

    for row in rows:
        producer.produce(
            row.topic,
            value=bytes(row.payload),
            key=row.key,
            headers=row.headers,
            on_delivery=partial(note, row.pk),
        )
        producer.poll(0)
    producer.flush()
    PlainOutboxEvent.objects.filter(pk__in=published).update(published_at=timezone.now())
    return len(published)


def fill_plain_outbox(events: int) -> None:
    """The same messages for the plain outbox."""
    table = PlainOutboxEvent._meta.db_table
    backlog_rows.execute(f"TRUNCATE {table}")
    backlog_rows.execute(
        f"INSERT INTO {table} (topic, key, payload, headers)"
        f" SELECT topic, key, payload, headers FROM {backlog_rows.TEMPLATE} ORDER BY id LIMIT %s",
        [events],
    )
    backlog_rows.settle(table)


def connected_producer(address: str, sample: Message) -> Producer:
    """As safe as ours: idempotent, acknowledged by all, the same partitions for the same keys."""
    producer = Producer(
        {"bootstrap.servers": address, "enable.idempotence": True, "acks": "all", "partitioner": "murmur2_random"}
    )
    topic, key, value, _ = sample
    producer.produce(topic, value=value, key=key)
    producer.flush()
    return producer


def require(done: int, wanted: int) -> None:
    """A variant that did not do the work has no figure."""
    if done != wanted:
        raise RuntimeError(f"{done} of {wanted} events were acknowledged")
