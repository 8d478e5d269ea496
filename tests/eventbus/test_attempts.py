"""An attempt at a parked event: counted as what it was, whoever looks at it meanwhile and whatever code they run."""

import select
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction

from eventbus import handlers, messages, parking
from eventbus.models import InboxEvent, OutboxEvent, ParkedEvent
from eventbus.processing import Processor
from tests.eventbus.conftest import message
from tests.eventbus.sample import Counted, Tallied, numbers, troubles

PATIENCE_SECONDS = 60
GROUP = "sample-consumer-group"


def boom() -> Exception:
    return RuntimeError("boom")


def make_due() -> None:
    ParkedEvent.objects.filter(state="retrying").update(next_attempt_at="2020-01-01T00:00Z")


def retry_elsewhere() -> int:
    """What another process of the group finds to do now."""
    with ThreadPoolExecutor(1) as other:
        return other.submit(_retried_and_closed).result(timeout=PATIENCE_SECONDS)


def _retried_and_closed() -> int:
    try:
        return Processor("tests").retry_due(limit=1)
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_failure_is_written_down_before_another_can_take_it_for_a_death(sample_room: None, monkeypatch: Any) -> None:
    made, record = list[int](), parking._record_failure
    troubles[1] = boom
    processor = Processor("tests")
    processor.process([message(number=1)])
    make_due()

    def record_after_another_looked(head: ParkedEvent, error: Exception) -> None:
        if not made:
            made.append(-1)
            made[0] = retry_elsewhere()
        record(head, error)

    monkeypatch.setattr(parking, "ATTEMPT_LEASE", timedelta(seconds=-1))  # the handler took longer than that
    monkeypatch.setattr(parking, "_record_failure", record_after_another_looked)

    assert processor.retry_due(limit=1) == 1

    assert made == [0]
    parked = ParkedEvent.objects.get()
    assert (parked.state, parked.attempts, parked.crashes, parked.error) == ("retrying", 2, 0, "boom")


@contextmanager
def key_at_work(key: str) -> Iterator[None]:
    """A batch of another process holds the key's lock."""
    is_held, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                parking.lock(GROUP, Counted.spec.topic, key)
                is_held.set()
                assert is_over.wait(PATIENCE_SECONDS)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as other:
        holding = other.submit(hold)
        try:
            assert is_held.wait(PATIENCE_SECONDS)
            yield
        finally:
            is_over.set()
            holding.result(timeout=PATIENCE_SECONDS)


@pytest.mark.django_db(transaction=True)
def test_an_attempt_that_cannot_begin_in_time_was_none(sample_room: None, monkeypatch: Any) -> None:
    counter = uuid4()
    troubles[1] = boom
    processor = Processor("tests")
    processor.process([message(counter, 1)])
    troubles.clear()
    make_due()
    monkeypatch.setattr(parking, "LOCK_WAIT", "100ms")

    with key_at_work(str(counter)):
        processor.retry_due()
    parked = ParkedEvent.objects.get()
    assert (parked.state, parked.attempts, parked.crashes, numbers(counter)) == ("retrying", 1, 0, [])

    make_due()
    processor.retry_due()
    assert numbers(counter) == [1]


def test_the_handlers_of_an_attempt_wait_for_locks_as_ever(sample_room: None, monkeypatch: Any) -> None:
    found = []

    def timeout() -> Exception:
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            found.append(cursor.fetchone())
        return RuntimeError("boom")

    troubles[1] = boom
    processor = Processor("tests")
    processor.process([message(number=1)])
    troubles[1] = timeout
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '123s'")
    make_due()

    processor.retry_due()

    assert found == [("123s",)]


def test_an_attempt_is_left_to_those_who_have_the_handlers(sample_room: None, monkeypatch: Any) -> None:
    """While a new version starts, a process of the old one shares its group, and lacks its handlers."""
    counter = uuid4()
    troubles[1] = boom
    Processor("tests").process([message(counter, 1), message(counter, 2)])
    troubles.clear()
    make_due()
    with monkeypatch.context() as older:
        older.setitem(handlers._handlers, "tests", {Tallied.spec.topic: handlers._handlers["tests"]["sample.tallied"]})
        assert Processor("tests").retry_due() == 0
    assert list(ParkedEvent.objects.values_list("state", "attempts")) == [("retrying", 1), ("queued", 0)]

    assert Processor("tests").retry_due() == 2
    assert numbers(counter) == [1, 2]


def test_two_copies_that_an_upgrade_makes_readable_take_effect_once(sample_room: None, monkeypatch: Any) -> None:
    """A relay that lost an acknowledgement wrote an event twice, and nobody could read it yet."""
    counter = uuid4()
    first = message(counter, 1)
    copies = [message(key=first.key, value=first.value) for _ in range(2)]
    with monkeypatch.context() as older:
        older.setattr(messages, "registered", dict)
        Processor("tests").process(copies)
    assert list(ParkedEvent.objects.values_list("state", flat=True)) == ["dead", "queued"]

    parking.retry(ParkedEvent.objects.dead().get(), actor="somebody")
    Processor("tests").retry_due()

    assert not ParkedEvent.objects.exists()
    assert numbers(counter) == [1]
    assert InboxEvent.objects.filter(event_id=messages.read(first).event_id).count() == 1
    Processor("tests").process([first])  # and a third, that comes to the upgraded reader
    assert numbers(counter) == [1]


def test_what_was_taken_for_an_event_is_given_back_when_its_handler_fails(sample_room: None, monkeypatch: Any) -> None:
    counter = uuid4()
    unread = message(counter, 1)
    with monkeypatch.context() as older:
        older.setattr(messages, "registered", dict)
        Processor("tests").process([unread])
    troubles[1] = boom
    parking.retry(ParkedEvent.objects.get(), actor="somebody")
    Processor("tests").retry_due()
    troubles.clear()
    make_due()

    Processor("tests").retry_due()

    assert not ParkedEvent.objects.exists()
    assert numbers(counter) == [1]


def outlast_the_transaction() -> Exception:
    """Do nothing in it until the database ends the session, as `idle_in_transaction_session_timeout` says."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '20ms'")
    assert connection.connection is not None
    assert select.select([connection.connection.fileno()], [], [], PATIENCE_SECONDS)[0]
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return RuntimeError("the session outlived it")


@pytest.mark.django_db(transaction=True)
def test_a_handler_whose_session_is_ended_for_its_idleness_holds_only_its_key(sample_room: None) -> None:
    """It is no outage of the database: waiting for that to pass would hold the partition for ever."""
    slow, other = uuid4(), uuid4()
    troubles[1] = outlast_the_transaction
    processor = Processor("tests")

    assert processor.process([message(slow, 1), message(other, 2)]) == []
    assert numbers(other) == [2]
    for _ in range(2):
        make_due()
        assert processor.retry_due() == 1

    dead = ParkedEvent.objects.get()
    assert (dead.state, dead.key, dead.attempts, dead.crashes) == ("dead", str(slow), 3, 0)
    assert "idle-in-transaction" in dead.error
    assert OutboxEvent.objects.get().topic == "sample.counted.dlq"


def break_a_deferred_rule(_: messages.Delivery) -> None:
    """Such rules are Django's foreign keys: looked at when the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE of_one_only (n int UNIQUE DEFERRABLE INITIALLY DEFERRED) ON COMMIT DROP")
        cursor.execute("INSERT INTO of_one_only VALUES (1), (1)")


@pytest.mark.django_db(transaction=True)
def test_a_rule_that_is_looked_at_last_is_looked_at_while_the_lock_is_held(sample_room: None, monkeypatch: Any) -> None:
    troubles[1] = boom
    processor = Processor("tests")
    processor.process([message(number=1)])
    make_due()
    seen = list[bool]()
    record = parking._record_failure

    def record_and_see(head: ParkedEvent, error: Exception) -> None:
        seen.append(connection.in_atomic_block)
        record(head, error)

    monkeypatch.setattr(parking, "_record_failure", record_and_see)
    monkeypatch.setattr(processor, "answer", break_a_deferred_rule)

    assert processor.retry_due(limit=1) == 1

    assert seen == [True]
    assert ParkedEvent.objects.get().error_class == "django.db.utils.IntegrityError"
