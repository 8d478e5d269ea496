"""Consumers that believe in the same partition at once: the database decides, each event counts once and in order."""

import random
import threading
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from eventbus.messages import Message
from eventbus.models import InboxEvent
from eventbus.processing import Processor
from tests.eventbus.conftest import message
from tests.eventbus.sample import numbers

CONSUMERS, MESSAGES = 3, 60

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sample_room")]


def consume(log: list[Message], barrier: threading.Barrier, seed: int) -> None:
    """The whole log in batches of this consumer's own sizes, beginning when the others do."""
    chance, at = random.Random(seed), 0
    try:
        while at < len(log):
            size = chance.randint(1, 7)
            if at == 0:
                barrier.wait(10)
            Processor("tests").process(log[at : at + size])
            at += size
    finally:
        connection.close()


def race(log: list[Message]) -> None:
    barrier = threading.Barrier(CONSUMERS)
    threads = [threading.Thread(target=consume, args=[log, barrier, random.getrandbits(32)]) for _ in range(CONSUMERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def some_log(counters: list[Any]) -> list[Message]:
    return [message(counters[n % len(counters)], n) for n in range(MESSAGES)]


def test_three_consumers_of_one_partition_take_each_effect_once_and_in_order() -> None:
    counters = [uuid4() for _ in range(3)]

    race(some_log(counters))

    assert [numbers(counter) for counter in counters] == [list(range(n, MESSAGES, 3)) for n in range(3)]
    assert InboxEvent.objects.count() == MESSAGES


def test_without_the_inboxs_claim_the_race_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Processor, "_claim", lambda self, deliveries: list(deliveries))
    counters = [uuid4() for _ in range(3)]
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE sample_effect DROP CONSTRAINT sample_effect_event_id_key")

    race(some_log(counters))

    doubled = [numbers(counter) for counter in counters]
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE sample_effect")  # the next test makes its own, with the constraint
    assert sum(map(len, doubled)) == CONSUMERS * MESSAGES
