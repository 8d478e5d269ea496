"""A message whose handler ends the process: isolated after the first death, a dead letter after so many."""

import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from eventbus import parking
from eventbus.crew import CAREFUL_SECONDS, Caution, Crew
from eventbus.models import ConsumerWorker, OutboxEvent, ParkedEvent
from eventbus.processing import Processor
from tests.eventbus.conftest import message
from tests.eventbus.sample import Tallied, numbers, tallies, troubles
from tests.proof.simulation import Killed

GROUP = "sample-consumer-group"


def die() -> Exception:
    raise Killed


def successor() -> Processor:
    """The process that takes over, and knows that its predecessor died."""
    processor = Processor("tests")
    processor.caution.begin(age=0.0)
    return processor


def make_due() -> None:
    ParkedEvent.objects.filter(state="retrying").update(next_attempt_at="2020-01-01T00:00Z")


@pytest.mark.django_db(transaction=True)
def test_a_deadly_message_holds_only_its_key_and_dies_after_so_many_deaths(sample_room: None) -> None:
    bad, good = uuid4(), uuid4()
    batch = [message(good, 1), message(bad, 2), message(good, 3), message(bad, 4)]
    troubles[2] = die
    with pytest.raises(Killed):
        Processor("tests").process(batch)
    assert numbers(good) == []

    with pytest.raises(Killed):
        successor().process(batch)  # the attempt is stored before it is made
    assert successor().process(batch) == []
    assert numbers(good) == [1, 3]
    assert list(ParkedEvent.objects.values_list("state", "crashes")) == [("retrying", 1), ("queued", 0)]

    for _ in range(2):
        make_due()
        with pytest.raises(Killed):
            Processor("tests").retry_due()
    make_due()
    Processor("tests").retry_due()

    dead = ParkedEvent.objects.dead().get()
    assert (dead.key, dead.error_class) == (str(bad), "eventbus.exceptions.HandlerCrashedError")
    assert dead.error == "the process ended in 3 attempts at this event"
    assert OutboxEvent.objects.get().topic == "sample.counted.dlq"


def test_a_failure_that_was_lived_through_ends_the_row_of_deaths(processor: Processor) -> None:
    troubles[1] = lambda: RuntimeError("boom")
    processor.process([message(number=1)])
    ParkedEvent.objects.update(crashes=2)
    make_due()

    processor.retry_due()

    assert list(ParkedEvent.objects.values_list("state", "attempts", "crashes")) == [("retrying", 2, 0)]


def test_careful_handling_does_what_the_usual_does(sample_room: None) -> None:
    processor, counter, failing = successor(), uuid4(), uuid4()
    troubles[7] = lambda: RuntimeError("boom")
    batch = [message(counter, 1), message(counter, 2), message(failing, 7), message(failing, 8), message(value=b"{")]

    processor.process(batch)
    processor.process(batch)

    assert numbers(counter) == [1, 2]
    assert numbers(failing) == []
    states = ParkedEvent.objects.order_by("id").values_list("state", "attempts", "crashes")
    assert list(states) == [("retrying", 1, 0), ("queued", 0, 0), ("dead", 1, 0)]


def test_handlers_of_many_are_handled_carefully_too(sample_room: None) -> None:
    successor().process([message(number=n, of=Tallied) for n in (1, 2)])

    assert tallies == [[1], [2]]


def test_only_as_many_messages_as_the_dead_process_may_have_held_are_handled_carefully(
    sample_room: None, bus: Any
) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "consumer_batch": 3}
    processor = successor()
    processor.process([message(number=n, of=Tallied) for n in range(4)])

    processor.process([message(number=n, of=Tallied) for n in range(4, 7)])

    assert tallies == [[0], [1], [2], [3], [4, 5, 6]]


def test_what_is_known_already_does_not_count(sample_room: None, bus: Any) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "consumer_batch": 2}
    known = [message(number=n, of=Tallied) for n in range(2)]
    Processor("tests").process(known)
    tallies.clear()

    successor().process([*known, *(message(number=n, of=Tallied) for n in range(2, 6))])

    assert tallies == [[2], [3], [4, 5]]


def test_each_partition_has_its_own_and_caution_ends_with_time(monkeypatch: Any) -> None:
    caution, one, other = Caution(1), message(partition=1), message(partition=2)
    assert not caution.asks_for(one)
    caution.begin(age=0.0)
    caution.passed(one)
    assert (caution.asks_for(one), caution.asks_for(other)) == (False, True)

    caution._ends_at -= CAREFUL_SECONDS
    assert not caution.asks_for(other)


def test_what_this_process_held_before_the_death_needs_no_care() -> None:
    caution, mine, inherited = Caution(1), message(partition=1), message(partition=2)
    caution.gained_at = {(mine.topic, 1): time.monotonic() - 60, (mine.topic, 2): time.monotonic()}

    caution.begin(age=30.0)

    assert (caution.asks_for(mine), caution.asks_for(inherited)) == (False, True)


def test_a_careful_message_has_a_fixed_price(sample_room: None) -> None:
    processor, counter = successor(), uuid4()

    with CaptureQueriesContext(connection) as queries:
        processor.process([message(counter, 1)])

    texts = [query["sql"].split()[0] for query in queries if "sample_effect" not in query["sql"]]
    # claim, lock key, is it parked, store; lock key and head, look at deferred rules, take it away, who comes next
    assert [text for text in texts if text not in {"SAVEPOINT", "RELEASE"}] == [
        *("INSERT", "SELECT", "SELECT", "INSERT"),
        *("SELECT", "SELECT", "SET", "SET", "DELETE", "SELECT", "SELECT"),
    ]


# Who died


def worker(**fields: Any) -> ConsumerWorker:
    described = {"id": uuid4(), "group": GROUP, "host": "elsewhere", "pid": 1, **fields}
    return ConsumerWorker.objects.create(**described)


def ended_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def long_ago() -> Any:
    return timezone.now() - timedelta(seconds=60)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("described", "is_dead"),
    [
        (lambda crew: {}, False),  # another host's, just seen
        (lambda crew: {"seen_at": long_ago()}, True),
        (lambda crew: {"host": crew._host, "pid": ended_pid()}, True),
        (lambda crew: {"host": crew._host, "pid": os.getppid()}, False),
        (lambda crew: {"host": crew._host, "pid": os.getpid()}, True),  # our number, in a container started again
        (lambda crew: {"group": "other-group", "seen_at": long_ago()}, False),
        (lambda crew: {"seen_at": timezone.now() - timedelta(days=1)}, False),
    ],
)
def test_a_process_that_died_is_noticed_once(described: Callable[[Crew], dict[str, Any]], *, is_dead: bool) -> None:
    crew = Crew(GROUP)
    crew.show()
    worker(**described(crew))

    assert (crew.show() is not None, crew.show()) == (is_dead, None)


@pytest.mark.django_db
def test_one_that_starts_later_learns_of_a_death_too_but_not_of_a_good_end() -> None:
    first, second = Crew(GROUP), Crew(GROUP)
    first._pid, second._pid = os.getppid(), os.getppid()
    first.show()
    second.show()
    second.leave()
    assert first.show() is None
    worker(seen_at=long_ago())
    assert first.show() == pytest.approx(60, abs=30)

    assert Crew(GROUP).show() == pytest.approx(60, abs=30)
    assert ConsumerWorker.objects.filter(pk=first.id).exists()
    assert not ConsumerWorker.objects.filter(pk=second.id).exists()


@pytest.mark.django_db
def test_old_rows_are_forgotten() -> None:
    row = worker(seen_at=timezone.now() - timedelta(days=1))

    Crew(GROUP).leave()

    assert not ConsumerWorker.objects.filter(pk=row.pk).exists()


def test_a_look_costs_two_statements(db: None) -> None:
    crew = Crew(GROUP)
    with CaptureQueriesContext(connection) as queries:
        crew.show()

    assert [query["sql"].split()[0] for query in queries] == ["INSERT", "SELECT"]
    assert isinstance(crew.id, UUID)


@pytest.mark.django_db(transaction=True)
def test_an_attempt_that_lasts_longer_than_its_lease_is_not_made_by_another_too(
    sample_room: None, monkeypatch: Any
) -> None:
    counter, made = uuid4(), list[int]()

    def meanwhile() -> Exception:
        with ThreadPoolExecutor(1) as other:
            made.append(other.submit(retry_elsewhere).result(timeout=60))
        return RuntimeError("boom")

    troubles[1] = lambda: RuntimeError("boom")
    processor = Processor("tests")
    processor.process([message(counter, 1)])
    make_due()
    monkeypatch.setattr(parking, "ATTEMPT_LEASE", timedelta(seconds=-1))  # it is over when it begins
    troubles[1] = meanwhile

    assert processor.retry_due(limit=1) == 1

    assert made == [0]


def retry_elsewhere() -> int:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '10s'")  # so that a mistake fails, and does not hang
        return Processor("tests").retry_due()
    finally:
        connection.close()
