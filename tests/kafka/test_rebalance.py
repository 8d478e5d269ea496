"""A group that grows, shrinks and loses a member by kill -9 under load: each effect once, in key order."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from confluent_kafka import Producer
from django.db import connection

from eventbus.conf import bus_settings
from eventbus.events import spec_of
from eventbus.kafka.admin import Cluster
from eventbus.models import ConsumerWorker, InboxEvent, ParkedEvent
from eventbus.outbox import topic_of
from eventbus.topics import sync_topics
from tests.eventbus.sample import Counted, Tallied, numbers
from tests.kafka.group import eventually, members

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.django_db(transaction=True),
    pytest.mark.parametrize("broker", ["apache"], indirect=True),
    pytest.mark.usefixtures("sample_room"),
]

COUNTERS, PAUSE_SECONDS = 12, 0.15


@dataclass
class Load:
    """Every counter goes up by one, again and again, until stopped; half of them on the topic of a list's handler."""

    counters: list[UUID] = field(default_factory=lambda: [uuid4() for _ in range(COUNTERS)])
    number: int = 0

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._producer = Producer({"bootstrap.servers": bus_settings().brokers, "enable.idempotence": True})
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            for n, counter in enumerate(self.counters):
                event_class = (Counted, Tallied)[n % 2]
                event = event_class(counter_id=counter, number=self.number)
                self._producer.produce(topic_of(spec_of(event_class)), event.encode(), event.key.encode())
            self._producer.poll(0)
            self.number += 1

    def stop(self) -> int:
        """The last numbers are on the topic; how many events it holds."""
        self._stop.set()
        self._thread.join()
        assert self._producer.flush(30) == 0
        return self.number * COUNTERS


@pytest.fixture
def load(broker: str) -> Iterator[Load]:
    sync_topics(Cluster(), apply=True)
    load = Load()
    yield load
    load.stop()


def now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
        return moment


def partitions_read(since: datetime = datetime(2000, 1, 1, tzinfo=UTC)) -> set[tuple[str, int]]:
    """The partitions of which something was handled since then."""
    return set(InboxEvent.objects.filter(handled_at__gt=since).values_list("topic", "partition"))


def pauses_of(changes: list[tuple[str, datetime]]) -> dict[str, float]:
    """The longest time, in seconds, in which some partition stood still from each change on and before the next."""
    longest = dict.fromkeys((what for what, _ in changes), 0.0)
    for topic, partition in partitions_read():
        handled = InboxEvent.objects.filter(topic=topic, partition=partition).order_by("handled_at")
        for earlier, later in pairwise(handled.values_list("handled_at", flat=True)):
            begun = [what for what, moment in changes if moment - timedelta(seconds=0.5) <= earlier]
            if begun:
                longest[begun[-1]] = max(longest[begun[-1]], (later - earlier).total_seconds())
    return longest


def test_from_one_member_to_four_and_back_with_one_killed(
    broker: str, bus: Any, load: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes: list[tuple[str, datetime]] = []
    with members(bus, tmp_path) as start:
        first = start()
        eventually(InboxEvent.objects.exists)
        changes.append(("one to four", now()))
        others = [start() for _ in range(3)]
        eventually(lambda: all(member.has_partitions for member in others))
        time.sleep(1)  # four of them work
        changes.append(("kill -9 of one", now()))
        others[0].kill()
        eventually(lambda: "a process of the group died" in first.log.read_text())
        killed = ConsumerWorker.objects.get(pid=others[0].process.pid)
        noticed_at = now()
        eventually(lambda: partitions_read(since=noticed_at) == partitions_read())
        changes.append(("three to one", now()))
        assert [member.stop() for member in others[1:]] == [0, 0]
        total = load.stop()
        eventually(lambda: InboxEvent.objects.count() == total and not ParkedEvent.objects.exists())
        assert first.stop() == 0

    assert [numbers(counter) for counter in load.counters] == [list(range(load.number))] * COUNTERS
    assert list(ConsumerWorker.objects.values_list("pid", flat=True)) == [killed.pid]
    told = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in pauses_of(changes).items())
    with capsys.disabled():
        print(f"\n{total} events, longest pause of a partition: {told}")  # noqa: T201 - the measurement
