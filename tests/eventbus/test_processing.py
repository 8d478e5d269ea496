"""A batch becomes effects: once each, in key order, one failing key never in another's way."""

import threading
import time
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from eventbus import parking, processing
from eventbus.exceptions import DomainError, NotYetError
from eventbus.messages import read
from eventbus.models import InboxEvent, OperatorAction, ParkedEvent
from eventbus.processing import DatabaseUnavailableError, Processor, guarded
from tests.eventbus.conftest import message
from tests.eventbus.sample import numbers, troubles

State = ParkedEvent.State


def boom() -> Exception:
    return RuntimeError("boom")


def make_due() -> None:
    ParkedEvent.objects.filter(state=State.RETRYING).update(next_attempt_at="2020-01-01T00:00Z")


def test_a_batch_takes_effect_in_order_with_one_inbox_row_each(processor: Processor) -> None:
    counter = uuid4()

    processor.process([message(counter, n) for n in (1, 2, 3)])

    assert numbers(counter) == [1, 2, 3]
    assert InboxEvent.objects.filter(group="sample-consumer-group").count() == 3


def test_the_same_message_twice_takes_effect_once_in_one_batch_or_in_two(processor: Processor) -> None:
    counter = uuid4()
    again = message(counter, 1)

    processor.process([again, again])
    processor.process([again, message(counter, 2)])

    assert numbers(counter) == [1, 2]


def test_a_batch_costs_three_statements_besides_its_handlers(processor: Processor) -> None:
    batch = [message(number=n) for n in range(50)]

    with CaptureQueriesContext(
        connection,
    ) as queries:
        processor.process(batch)

    handlers = [query for query in queries if "sample_effect" in query["sql"]]
    bookkeeping = [query["sql"] for query in queries if query not in handlers and "SAVEPOINT" not in query["sql"]]
    assert len(handlers) == 50
    assert len(bookkeeping) == 2
    assert bookkeeping[0].lstrip().startswith("INSERT INTO eventbus_inboxevent")
    assert "eventbus_parkedevent" in bookkeeping[1]


def test_a_failing_event_is_parked_its_followers_queue_and_other_keys_flow(processor: Processor) -> None:
    bad, good = uuid4(), uuid4()
    troubles[2] = boom

    processor.process([message(bad, 1), message(bad, 2), message(good, 10), message(bad, 3), message(good, 11)])

    assert numbers(bad) == [1]
    assert numbers(good) == [10, 11]
    assert list(ParkedEvent.objects.values_list("state", "attempts")) == [(State.RETRYING, 1), (State.QUEUED, 0)]


def test_later_messages_of_a_parked_key_queue_behind_it(processor: Processor) -> None:
    counter = uuid4()
    troubles[1] = boom
    processor.process([message(counter, 1)])

    processor.process([message(counter, 2)])

    assert numbers(counter) == []
    assert list(ParkedEvent.objects.values_list("state", flat=True)) == [State.RETRYING, State.QUEUED]


def test_a_due_head_drains_its_key_in_order(processor: Processor) -> None:
    counter = uuid4()
    troubles[1] = boom
    processor.process([message(counter, n) for n in (1, 2, 3)])
    troubles.clear()
    make_due()

    assert processor.retry_due() == 3

    assert numbers(counter) == [1, 2, 3]
    assert not ParkedEvent.objects.exists()


def test_a_head_that_is_not_due_is_left_alone(processor: Processor) -> None:
    troubles[1] = boom
    processor.process([message(number=1)])
    ParkedEvent.objects.update(next_attempt_at="2100-01-01T00:00Z")
    troubles.clear()

    assert processor.retry_due() == 0

    assert ParkedEvent.objects.count() == 1


def test_after_the_last_attempt_the_head_is_dead_and_its_key_stays_parked(processor: Processor) -> None:
    counter = uuid4()
    troubles[1] = boom
    processor.process([message(counter, 1)])
    for _ in range(5):
        make_due()
        processor.retry_due()

    processor.process([message(counter, 2)])

    head, follower = ParkedEvent.objects.order_by("id")
    assert (head.state, head.attempts, head.error_class, head.error) == (State.DEAD, 3, "builtins.RuntimeError", "boom")
    assert "in remember" in head.traceback
    assert follower.state == State.QUEUED
    assert numbers(counter) == []


@pytest.mark.usefixtures("bus")
def test_a_group_may_continue_past_its_dead_letters(bus, processor: Processor) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "continue_past_dead": ("sample-consumer-group",)}
    counter = uuid4()
    troubles[1] = lambda: DomainError("never")

    processor.process([message(counter, 1), message(counter, 2)])

    assert numbers(counter) == [2]
    assert [parked.state for parked in ParkedEvent.objects.all()] == [State.DEAD]


def test_a_domain_error_is_dead_at_once(processor: Processor) -> None:
    troubles[1] = lambda: DomainError("the rule says no")

    processor.process([message(number=1)])

    [dead] = ParkedEvent.objects.all()
    assert (dead.state, dead.attempts, dead.error) == (State.DEAD, 1, "the rule says no")


def test_not_yet_waits_longer_than_any_number_of_attempts(processor: Processor) -> None:
    counter = uuid4()
    troubles[1] = lambda: NotYetError("the other one is missing")
    processor.process([message(counter, 1)])
    for _ in range(6):
        make_due()
        processor.retry_due()
    [waiting] = ParkedEvent.objects.all()
    assert (waiting.state, waiting.attempts) == (State.RETRYING, 7)

    troubles.clear()
    make_due()
    processor.retry_due()

    assert numbers(counter) == [1]


def test_not_yet_is_dead_after_its_limit(processor: Processor) -> None:
    troubles[1] = lambda: NotYetError("the other one is missing")
    processor.process([message(number=1)])
    ParkedEvent.objects.update(parked_at="2020-01-01T00:00Z")
    make_due()

    processor.retry_due()

    assert ParkedEvent.objects.get().state == State.DEAD


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{broken", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b'{"version":"7.0","number":1}', "major version 7"),
        (b'{"version":"x","number":1}', "MAJOR.MINOR"),
        (b'{"number":1}', "counterId"),
        (b'{"counterId":"no-uuid","number":1}', "UUID"),
        (b"[1]", "array"),
        (None, "no value"),
    ],
)
def test_an_unreadable_message_is_a_dead_letter_with_its_raw_bytes_and_the_partition_goes_on(
    processor: Processor, value: bytes | None, reason: str
) -> None:
    counter = uuid4()

    processor.process([message(value=value, key=b"other"), message(counter, 5)])

    [dead] = ParkedEvent.objects.all()
    assert dead.state == State.DEAD
    assert (None if dead.payload is None else bytes(dead.payload)) == value
    assert reason in dead.error
    assert numbers(counter) == [5]


def test_a_message_without_our_headers_and_id_is_handled_by_its_place(processor: Processor) -> None:
    counter = uuid4()
    foreign = message(value=f'{{"counterId":"{counter}","number":4,"extra":true}}'.encode(), offset=77)

    processor.process([foreign])
    processor.process([foreign])

    assert numbers(counter) == [4]
    assert InboxEvent.objects.get().event_id == "sample.counted:0:77"


def test_an_empty_key_parks_nothing_but_itself(processor: Processor) -> None:
    first, second = uuid4(), uuid4()
    troubles[1] = boom

    processor.process([message(first, 1, key=None), message(second, 2, key=None), message(second, 3, key=b"")])

    assert numbers(second) == [2, 3]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("sample_room")
def test_two_processes_that_park_one_key_at_once_make_one_head() -> None:
    counter = uuid4()
    first, second = (read(message(counter, n)) for n in (1, 2))

    def park_second() -> None:
        with transaction.atomic():
            parking.park("sample-consumer-group", second, boom())
        connection.close()

    other = threading.Thread(target=park_second)
    with transaction.atomic():
        parking.park("sample-consumer-group", first, boom())
        other.start()
        while other.is_alive() and not is_waited_for():
            time.sleep(0.01)
    other.join()

    assert list(ParkedEvent.objects.order_by("offset").values_list("state", flat=True)) == [
        State.RETRYING,
        State.QUEUED,
    ]


def is_waited_for() -> bool:
    """Whether another connection waits for a lock of this one's."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid)))")
        return bool(cursor.fetchone()[0])


def test_retrying_a_dead_letter_gives_it_new_attempts_and_says_who_did_it(processor: Processor) -> None:
    counter = uuid4()
    troubles[1] = lambda: DomainError("no")
    processor.process([message(counter, 1), message(counter, 2)])
    troubles.clear()

    parking.retry(ParkedEvent.objects.dead().get(), actor="ann", reason="fixed")
    processor.retry_due()

    assert numbers(counter) == [1, 2]
    [action] = OperatorAction.objects.all()
    assert (action.action, action.actor, action.reason) == ("retry", "ann", "fixed")


def test_discarding_a_dead_letter_lets_its_key_go_on_without_it(processor: Processor) -> None:
    counter = uuid4()
    troubles[1] = lambda: DomainError("no")
    processor.process([message(counter, 1), message(counter, 2)])

    parking.discard(ParkedEvent.objects.dead().get(), actor="ann", reason="a test event")
    processor.retry_due()

    assert numbers(counter) == [2]
    assert OperatorAction.objects.get().action == "discard"


def test_discard_does_nothing_to_a_head_that_is_still_retried(processor: Processor) -> None:
    troubles[1] = boom
    processor.process([message(number=1)])

    parking.discard(ParkedEvent.objects.get(), actor="ann", reason="too early")

    assert ParkedEvent.objects.count() == 1
    assert not OperatorAction.objects.exists()


def test_one_bad_message_among_many_costs_transactions_by_its_tenths_not_by_its_neighbours(
    processor: Processor,
) -> None:
    troubles[50] = boom

    with CaptureQueriesContext(connection) as queries:
        processor.process([message(number=n) for n in range(100)])

    claims = [query for query in queries if "INSERT INTO eventbus_inboxevent" in query["sql"]]
    assert len(claims) <= 1 + 10 + 10 + 1  # all, by ten, one by one where it failed, and the parking
    assert ParkedEvent.objects.count() == 1
    assert InboxEvent.objects.count() == 100


@pytest.mark.parametrize(("age", "expected"), [(0.0, 0), (60.0, 1)])
def test_the_connection_is_looked_at_after_a_second_and_not_at_every_call(
    monkeypatch: pytest.MonkeyPatch, age: float, expected: int
) -> None:
    looks: list[None] = []
    monkeypatch.setattr(processing._looked, "at", time.monotonic() - age)
    monkeypatch.setattr(connection, "close_if_unusable_or_obsolete", lambda: looks.append(None))
    monkeypatch.setattr(processing, "LOOK_SECONDS", 60.0)  # a slow machine does not pass so long by itself

    guarded(lambda: None)

    assert len(looks) == expected


@pytest.mark.django_db(transaction=True)
def test_a_connection_lost_between_two_looks_is_said_to_be_and_replaced(
    processor: Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processing, "LOOK_SECONDS", 60.0)
    guarded(InboxEvent.objects.exists)
    connection.connection.close()

    with pytest.raises(DatabaseUnavailableError):
        processor.process([message(number=1)])
    processor.process([message(number=1)])

    assert InboxEvent.objects.count() == 1
