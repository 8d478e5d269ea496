"""No transaction of a batch lasts much longer than its setting, whatever the batch and the handlers are."""

import time
from typing import Any, cast
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from eventbus import processing
from eventbus.conf import bus_settings
from eventbus.handlers import Handler, handlers_of
from eventbus.messages import Message, read
from eventbus.models import InboxEvent, ParkedEvent
from eventbus.processing import Processor
from tests.eventbus.conftest import message
from tests.eventbus.sample import Tallied, numbers, tallies, troubles


class Clock:
    """Time that passes only in handlers."""

    def __init__(self) -> None:
        self.now = 0.0
        self.handler_seconds = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(bus: Any, sample_room: None, monkeypatch: Any) -> Clock:
    """Each handler of a single event takes as long as the test says."""
    del bus.EVENTBUS["consumer_transaction_seconds"]  # the default
    bus_settings.cache_clear()
    clock, handlers = Clock(), cast("dict[str, Any]", handlers_of("tests"))
    monkeypatch.setattr(processing, "time", clock)
    [handler] = handlers["sample.counted"]

    def slow(event: Any) -> None:
        clock.now += clock.handler_seconds
        handler.function(event)

    monkeypatch.setitem(handlers, "sample.counted", [Handler(slow, takes_many=False)])
    return clock


def transactions(processor: Processor, batch: list[Message]) -> list[int]:
    """How many effects each transaction of this batch committed."""
    with CaptureQueriesContext(connection) as queries:
        assert processor.process(batch) == []
    found = [0]
    for query in queries:
        if query["sql"].startswith("RELEASE"):
            found.append(0)
        elif "sample_effect" in query["sql"]:
            found[-1] += 1
    return [count for count in found if count]


def test_quick_handlers_share_one_transaction(clock: Clock, processor: Processor) -> None:
    assert transactions(processor, [message(number=n) for n in range(100)]) == [100]


def test_slow_handlers_share_as_many_transactions_as_their_time_needs(clock: Clock, processor: Processor) -> None:
    clock.handler_seconds, counter = 0.02, uuid4()

    assert transactions(processor, [message(counter, n) for n in range(10)]) == [3, 3, 3, 1]

    assert numbers(counter) == list(range(10))
    assert InboxEvent.objects.count() == 10


def test_a_handler_slower_than_the_limit_has_a_transaction_of_its_own(clock: Clock, processor: Processor) -> None:
    clock.handler_seconds = 5.0

    assert transactions(processor, [message(number=n) for n in range(4)]) == [1, 1, 1, 1]


def test_what_is_given_back_is_claimed_once_more_and_not_over_and_over(clock: Clock, processor: Processor) -> None:
    clock.handler_seconds = 0.02
    processor.process([message(number=n) for n in range(100)])

    with CaptureQueriesContext(connection) as queries:
        processor.process([message(number=n) for n in range(100, 112)])

    statements = [query["sql"].split()[0] for query in queries if "sample_effect" not in query["sql"]]
    assert "DELETE" not in statements  # a transaction begins with as many as fitted before
    assert statements.count("INSERT") == 4


def test_when_handlers_are_quick_again_transactions_grow_again(clock: Clock, processor: Processor) -> None:
    clock.handler_seconds = 0.02
    processor.process([message(number=n) for n in range(6)])
    clock.handler_seconds = 0.0

    assert transactions(processor, [message(number=n) for n in range(100)]) == [3, 6, 12, 24, 48, 7]


def test_a_repetition_behind_the_cut_is_left_with_what_is_before_it(clock: Clock, processor: Processor) -> None:
    counter, clock.handler_seconds = uuid4(), 1.0
    first, second = message(counter, 1), message(counter, 2)

    error, left = processor._attempt([read(m) for m in (first, second, first, second)])

    assert error is None
    assert [delivery.message for delivery in left] == [second, first, second]
    assert list(InboxEvent.objects.values_list("offset", flat=True)) == [first.offset]


def test_a_list_holds_what_came_before_the_cut(clock: Clock, processor: Processor) -> None:
    clock.handler_seconds = 1.0
    batch = [message(number=1, of=Tallied), message(number=2), message(number=3, of=Tallied)]

    processor.process(batch)

    assert tallies == [[1], [3]]


def test_a_list_that_took_too_long_is_halved_next_time_and_no_further_than_it_began(
    clock: Clock, sample_room: None, monkeypatch: Any
) -> None:
    lists: list[int] = []

    def slow(events: list[Tallied]) -> None:
        lists.append(len(events))
        clock.now += len(events) / 1000

    monkeypatch.setitem(
        cast("dict[str, Any]", handlers_of("tests")), "sample.tallied", [Handler(slow, takes_many=True)]
    )
    processor = Processor("tests")
    processor._reach = 400

    for _ in range(4):
        processor.process([message(number=n, of=Tallied) for n in range(400)])

    assert lists == [400, 200, *[100] * 10]


def test_a_failure_behind_the_cut_is_found_in_its_own_transaction(clock: Clock, processor: Processor) -> None:
    clock.handler_seconds, bad, good = 0.03, uuid4(), uuid4()
    troubles[4] = lambda: RuntimeError("boom")

    processor.process([message(good, 1), message(good, 2), message(good, 3), message(bad, 4), message(good, 5)])

    assert numbers(good) == [1, 2, 3, 5]
    assert ParkedEvent.objects.get().key == str(bad)


def test_what_is_left_when_the_time_of_the_batch_is_over_is_handed_back_in_order(
    clock: Clock, processor: Processor
) -> None:
    clock.handler_seconds, counter = 1.0, uuid4()
    batch = [message(counter, n) for n in range(10)]

    left = processor.process(batch, seconds=2.5)

    assert left == batch[3:]
    assert numbers(counter) == [0, 1, 2]
    assert processor.process(left) == []
    assert numbers(counter) == list(range(10))


def test_one_message_at_least_is_handled_whatever_the_time(clock: Clock, processor: Processor) -> None:
    clock.handler_seconds = 1.0
    batch = [message(number=n) for n in range(2)]

    assert processor.process(batch, seconds=0) == batch[1:]


def test_with_the_real_clock_and_the_defaults_locks_are_short(bus: Any, sample_room: None, monkeypatch: Any) -> None:
    del bus.EVENTBUS["consumer_transaction_seconds"]  # the default: 50 ms
    bus_settings.cache_clear()
    handlers = cast("dict[str, Any]", handlers_of("tests"))
    [handler] = handlers["sample.counted"]

    def slow(event: Any) -> None:
        time.sleep(0.01)
        handler.function(event)

    monkeypatch.setitem(handlers, "sample.counted", [Handler(slow, takes_many=False)])

    shares = transactions(Processor("tests"), [message(number=n) for n in range(40)])

    assert sum(shares) == 40
    assert max(shares) <= 6  # of 10 ms and more: however slow the machine is, none begins after 50 ms


def test_a_cut_costs_one_statement_more(clock: Clock, processor: Processor) -> None:
    clock.handler_seconds = 1.0
    with CaptureQueriesContext(connection) as queries:
        processor._attempt([read(message(number=n)) for n in range(60)])

    statements = [query["sql"].split()[0] for query in queries if "sample_effect" not in query["sql"]]
    assert statements == ["SAVEPOINT", "INSERT", "SELECT", "DELETE", "RELEASE"]
