"""The loop of a consumer: what it hands back, when it stops reading, and what it tells."""

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from eventbus import consumer as consumer_module
from eventbus import parking, processing
from eventbus.consumer import Consumer
from eventbus.exceptions import DomainError, TopicsPausedError
from eventbus.handlers import Handler, handlers_of
from eventbus.messages import Message
from eventbus.models import ConsumerWorker, ParkedEvent, PausedTopic
from eventbus.status import bus_status
from tests.eventbus.conftest import message
from tests.eventbus.full_disk import DEADLOCK, refusing
from tests.eventbus.sample import Counted, effects, numbers, troubles
from tests.proof.broker import Broker
from tests.proof.group import Group, Source

GROUP = "sample-consumer-group"


@pytest.fixture
def group() -> Group:
    return Group(Broker())


@pytest.fixture
def consumer(sample_room: None, group: Group, monkeypatch: Any) -> Iterator[Consumer]:
    """The only member of its group, on the broker in memory."""
    monkeypatch.setattr(consumer_module, "EventConsumer", lambda *_, **__: Source(group, 0))
    monkeypatch.setattr(consumer_module, "LOOK_SECONDS", 0.0)
    consumer = Consumer("tests")
    yield consumer
    consumer.health.close()


def send(group: Group, *counted: Counted) -> None:
    for event in counted:
        group.broker.append("sample.counted", event.key.encode(), event.encode(), {})


def some(count: int, start: int = 0) -> list[Counted]:
    return [Counted(counter_id=uuid4(), number=number) for number in range(start, start + count)]


def fail_everything() -> None:
    troubles.update(dict.fromkeys(range(1000), lambda: RuntimeError("the gateway is away")))


def test_a_paused_topic_is_put_back_and_read_again_when_a_person_resumes_it(consumer: Consumer, group: Group) -> None:
    send(group, *some(60))
    fail_everything()
    consumer.step()
    consumer.step()
    assert ParkedEvent.objects.count() == 20
    assert group.lag() == 40
    assert "sample.counted" in consumer.health.troubles()["handlers"]
    assert [row["topic"] for row in bus_status()["paused_topics"]] == ["sample.counted"]

    troubles.clear()
    PausedTopic.objects.all().delete()
    for _ in range(3):
        consumer.step()

    assert group.lag() == 0
    assert len(effects()) == 40
    assert consumer.health.troubles() == {}
    assert consumer.handled == 60


def test_a_group_that_is_told_to_goes_on_past_what_was_dead_before(consumer: Consumer, group: Group, bus: Any) -> None:
    """The setting is what an operator reaches for when keys stand still already."""
    dead, waiting = uuid4(), uuid4()
    troubles.update({1: lambda: DomainError("never"), 5: lambda: RuntimeError("not now")})
    send(group, *(Counted(counter_id=dead, number=number) for number in (1, 2, 3)))
    send(group, *(Counted(counter_id=waiting, number=number) for number in (5, 6)))
    while not consumer._source.is_caught_up():
        consumer.step()
    assert numbers(dead) == []

    bus.EVENTBUS = {**bus.EVENTBUS, "continue_past_dead": (GROUP,)}
    successor = Consumer("tests")
    for _ in range(3):
        successor.step()

    assert (numbers(dead), numbers(waiting)) == ([2, 3], [])
    left = ParkedEvent.objects.values_list("key", "state")
    assert set(left) == {(str(dead), "dead"), (str(waiting), "retrying"), (str(waiting), "queued")}
    assert len(left) == 3


def test_a_deadlock_in_its_own_bookkeeping_ends_no_consumer(consumer: Consumer, group: Group) -> None:
    counter = uuid4()
    troubles[1] = lambda: RuntimeError("not now")
    send(group, Counted(counter_id=counter, number=1))
    consumer.step()
    troubles.clear()
    ParkedEvent.objects.update(next_attempt_at="2020-01-01T00:00Z")

    with refusing("eventbus_parkedevent", "UPDATE", DEADLOCK):
        consumer.step()
    assert numbers(counter) == []
    assert "the database cannot write" in consumer.health.troubles()["database"]

    consumer.step()
    assert numbers(counter) == [1]
    assert consumer.health.troubles() == {}


def test_with_too_much_parked_nothing_is_read_until_there_is_less(
    consumer: Consumer, group: Group, bus: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "parked_limit": 10}
    caplog.set_level(logging.WARNING, logger="eventbus.consumer")
    fail_everything()
    send(group, *some(11))
    consumer.step()
    troubles.clear()
    send(group, *some(5, start=100))

    for _ in range(3):
        consumer.step()
    assert effects() == []
    assert "11 events are parked" in consumer.health.troubles()["parked"]

    for parked in ParkedEvent.objects.all()[:2]:
        parked.delete()
    for _ in range(3):
        consumer.step()

    assert len(effects()) == 5
    assert "parked" not in consumer.health.troubles()
    assert [record.getMessage() for record in caplog.records if record.name == "eventbus.consumer"] == [
        "consumer tests reads no more: 11 events are parked, more than the 10 that parked_limit allows",
        "consumer tests reads again: 9 events are parked",
    ]


def test_a_run_to_the_end_goes_on_when_nothing_came_for_a_moment(
    consumer: Consumer, group: Group, monkeypatch: Any
) -> None:
    send(group, *some(3))
    take, asked = Source.take, list[int]()

    def empty_at_first(source: Source, limit: int, seconds: float) -> list[Message]:
        asked.append(limit)
        return take(source, limit, seconds) if len(asked) > 1 else []

    monkeypatch.setattr(Source, "take", empty_at_first)

    assert consumer.drain() == 3


def test_a_run_to_the_end_fails_before_a_paused_topic(consumer: Consumer, group: Group) -> None:
    send(group, *some(60))
    fail_everything()

    with pytest.raises(TopicsPausedError, match=r"^sample.counted: paused, not read to the end, .* too many keys"):
        consumer.drain()

    assert group.lag() == 40


def test_a_run_to_the_end_fails_when_too_much_is_parked(consumer: Consumer, group: Group, bus: Any) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "parked_limit": 10}
    fail_everything()
    send(group, *some(11))
    assert consumer.drain() == 11
    send(group, *some(1))

    with pytest.raises(TopicsPausedError, match="not read to the end, for more events are parked than parked_limit"):
        consumer.drain()


def test_a_process_shows_that_it_lives_while_slow_handlers_hold_it(
    consumer: Consumer, group: Group, bus: Any, monkeypatch: Any
) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "consumer_hold_seconds": 1e-9}
    monkeypatch.setattr(consumer.processor, "_seconds", 0.0)  # each message has a transaction of its own
    shown: list[int] = []
    monkeypatch.setattr(consumer._crew, "show", lambda: shown.append(len(effects())))
    counter = uuid4()
    send(group, *(Counted(counter_id=counter, number=number) for number in range(3)))

    consumer.step()

    assert shown == [0, 1, 2]
    assert len(effects()) == 3


def test_retries_hold_the_loop_no_longer_than_a_batch_does(consumer: Consumer, group: Group, monkeypatch: Any) -> None:
    fail_everything()
    send(group, *some(10))
    consumer.step()
    ParkedEvent.objects.update(next_attempt_at="2020-01-01T00:00Z")
    clock: Any = SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(parking, "time", clock)

    def slow() -> Exception:
        clock.now += 2.0
        return RuntimeError("the gateway is slow, and then away")

    troubles.update(dict.fromkeys(range(1000), slow))

    consumer.step()

    assert ParkedEvent.objects.filter(attempts=2).count() == 3  # in 5 seconds
    assert consumer._retry() == 3


def test_retries_go_on_while_nothing_is_read(consumer: Consumer, group: Group, bus: Any) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "parked_limit": 1}
    fail_everything()
    send(group, *some(3))
    consumer.step()
    troubles.clear()
    ParkedEvent.objects.update(next_attempt_at="2020-01-01T00:00Z")

    consumer.step()

    assert len(effects()) == 3


def interrupt_after(monkeypatch: Any, handlers: int, then: Callable[[], None]) -> None:
    """The time of a batch is over after so many handlers; then something happens."""

    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

    clock, answers = Clock(), cast("dict[str, Any]", handlers_of("tests"))
    [handler] = answers["sample.counted"]

    def counted(event: Any) -> None:
        handler.function(event)
        clock.now += 1.0
        if clock.now == handlers:
            clock.now += 100.0
            then()

    monkeypatch.setattr(processing, "time", clock)
    monkeypatch.setitem(answers, "sample.counted", [Handler(counted, takes_many=False)])


def test_a_partition_that_goes_during_a_long_batch_is_given_up_soon_and_nothing_is_done_twice(
    consumer: Consumer, group: Group, bus: Any, monkeypatch: Any
) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "consumer_transaction_seconds": 0.5}
    counter = uuid4()
    events = [Counted(counter_id=counter, number=number) for number in range(10)]
    send(group, *events)
    consumer = Consumer("tests")
    interrupt_after(monkeypatch, 4, then=lambda: group.give_all_to(1))

    consumer.step()

    assert numbers(counter) == [0, 1, 2, 3]
    assert consumer.handled == 4


def test_a_stop_ends_a_long_batch_after_what_is_at_hand(
    consumer: Consumer, group: Group, bus: Any, monkeypatch: Any
) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "consumer_transaction_seconds": 0.5}
    consumer = Consumer("tests")
    send(group, *some(10))
    interrupt_after(monkeypatch, 3, then=consumer.stop)

    consumer.step()

    assert len(effects()) == 3
    assert group.lag() == 7


def test_a_long_batch_is_finished_when_nothing_came_of_hearing_the_group(
    consumer: Consumer, group: Group, bus: Any, monkeypatch: Any
) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "consumer_transaction_seconds": 0.5}
    heard: list[float] = []
    consumer = Consumer("tests")
    monkeypatch.setattr(consumer._source, "stay_in_group", heard.append)
    send(group, *some(8))
    interrupt_after(monkeypatch, 3, then=lambda: None)

    consumer.step()

    assert len(effects()) == 8
    assert group.lag() == 0
    assert heard == [0.0]


def test_a_look_has_a_fixed_price_and_shows_the_process(consumer: Consumer, group: Group) -> None:
    with CaptureQueriesContext(connection) as queries:
        consumer._look()

    verbs = [query["sql"].split()[0] for query in queries]
    assert verbs == ["INSERT", "SELECT", "SELECT", "SELECT", "SELECT"]  # us, the others, rule, paused, parked
    assert [row["group"] for row in bus_status()["consumers"]] == [GROUP]


def test_a_process_that_ends_as_it_should_leaves_no_row(consumer: Consumer, group: Group, monkeypatch: Any) -> None:
    send(group, *some(3))

    assert consumer.drain() == 3

    assert not ConsumerWorker.objects.exists()


def test_after_a_death_the_messages_that_come_are_handled_carefully(
    consumer: Consumer, caplog: pytest.LogCaptureFixture
) -> None:
    assert not consumer.processor.caution.asks_for(message())
    died_at = timezone.now() - timedelta(seconds=60)
    ConsumerWorker.objects.create(id=uuid4(), group=GROUP, host="elsewhere", pid=1, seen_at=died_at)

    consumer.step()

    assert consumer.processor.caution.asks_for(message())
    assert "a process of the group died" in caplog.text
