"""A consumer that takes messages by the batch, against one that gives each message a transaction of its own."""

import json
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from statistics import median
from typing import Any
from uuid import UUID

from confluent_kafka import Consumer as KafkaConsumer
from django.db import transaction

from benchmarks import backlog_rows
from benchmarks.effort import Effort
from benchmarks.events import Counted, CountedPlainly, Tallied
from benchmarks.ground import broker
from benchmarks.models import Counter, PlainInboxEvent
from benchmarks.report import Bar, Report
from benchmarks.rounds import by_turns, ratio
from eventbus.consumer import Consumer
from eventbus.models import InboxEvent
from eventbus.outbox import publish, topic_of
from eventbus.relay import Relay

PLAIN = "one transaction a message, get_or_create"
ORM, SET_BASED = "batches, one ORM update a message", "batches, set-based handler"
EVENTS = {PLAIN: 1000, ORM: 4000, SET_BASED: 20_000}
TIMES_PLAIN = {ORM: 4.0, SET_BASED: 40.0}
CHUNK = 500
PATIENCE_SECONDS = 300.0


def run(effort: Effort) -> Report:
    """The built-in broker; every message has its inbox row and its update."""
    Counter.objects.bulk_create(
        [Counter(pk=UUID(int=number)) for number in range(backlog_rows.KEYS)], ignore_conflicts=True
    )
    count = {name: effort.count(events, least=100) for name, events in EVENTS.items()}
    with broker("builtin") as address:
        ours = Consumer("benchmarks")
        with closing(plain_consumer(address)) as plain:
            variants: dict[str, Callable[[], float]] = {
                PLAIN: partial(handle_plainly, plain, count[PLAIN]),
                ORM: partial(handle, ours, Counted, count[ORM]),
                SET_BASED: partial(handle, ours, Tallied, count[SET_BASED]),
            }
            for variant in variants.values():
                variant()  # joins its group
            figures = by_turns(variants, rounds=effort.rounds)
        ours.stop()
        ours.run()
    report = Report("consumer", "messages/s from a filled topic", ["consumer", "messages/s", "against the first"])
    report.rows = [[name, median(rates), ratio(figures, name, PLAIN)] for name, rates in figures.items()]
    report.bars = [
        Bar(f"{name} / {PLAIN}", ratio(figures, name, PLAIN), bar, ">=") for name, bar in TIMES_PLAIN.items()
    ]
    return report


def handle(consumer: Consumer, event_class: type[Counted], events: int) -> float:
    """Messages per second of the room's consumer."""
    fill_topic(event_class, events)
    target = consumer.handled + events
    started = time.perf_counter()
    while consumer.handled < target:
        require_patience(started)
        consumer.step()
    return events / (time.perf_counter() - started)


def handle_plainly(consumer: KafkaConsumer, events: int) -> float:
    """Messages per second of a consumer as it is usually written."""
    fill_topic(CountedPlainly, events)
    handled = 0
    started = time.perf_counter()
    while handled < events:
        require_patience(started)
        message = consumer.poll(0.5)
        if message is None or message.error():
            continue
        answer_once(json.loads(message.value() or b""))
        consumer.store_offsets(message)
        handled += 1
    return events / (time.perf_counter() - started)


@transaction.atomic
def answer_once(counted: dict[str, Any]) -> None:
    """The message's effect, unless it was there before."""
    _, is_new = PlainInboxEvent.objects.get_or_create(event_id=counted["id"])
    if is_new:
        Counter.objects.filter(pk=counted["counterId"]).update(number=counted["number"])


def fill_topic(event_class: type[Counted], events: int) -> None:
    """So many fresh events of this class on its topic, and inboxes as they are after a cleaning."""
    for model in (InboxEvent, PlainInboxEvent):
        backlog_rows.execute(f"TRUNCATE {model._meta.db_table}")
    for start in range(0, events, CHUNK):
        numbers = range(start, min(start + CHUNK, events))
        with transaction.atomic():
            publish(*(backlog_rows.counted(event_class, number) for number in numbers))
    Relay().drain()
    backlog_rows.settle(Counter._meta.db_table)


def plain_consumer(address: str) -> KafkaConsumer:
    """A group of its own; offsets are stored after each commit and sent in the background, which costs least."""
    settings = {
        "bootstrap.servers": address,
        "group.id": "plain-consumer-group",
        "group.protocol": "consumer",
        "auto.offset.reset": "earliest",
        "enable.auto.offset.store": False,
        "fetch.wait.max.ms": 10,
    }
    consumer = KafkaConsumer(settings)
    consumer.subscribe([topic_of(CountedPlainly.spec)])
    return consumer


def require_patience(started: float) -> None:
    """A consumer that does not get its messages has no figure."""
    if time.perf_counter() - started > PATIENCE_SECONDS:
        raise TimeoutError("the messages do not come")
