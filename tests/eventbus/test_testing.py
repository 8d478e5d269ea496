"""The pytest plugin: what tests of events and handlers use must itself fail where the code is wrong."""

from inspect import isfunction, signature
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction

from eventbus.exceptions import DomainError
from eventbus.kafka.consumer import EventConsumer
from eventbus.kafka.memory import MemoryConsumer, MemoryProducer
from eventbus.kafka.producer import EventProducer
from eventbus.models import HeldKey, InboxEvent, OutboxEvent, ParkedEvent
from eventbus.outbox import publish
from eventbus.testing import CrashedError, EventBus, HandlingFailedError
from tests.eventbus.sample import Counted, numbers, troubles

pytestmark = pytest.mark.usefixtures("sample_room")


def count(counter: Any, *these: int) -> None:
    for number in these:
        with transaction.atomic():
            publish(Counted(counter_id=counter, number=number))


@pytest.fixture
def event_bus(sample_room: None, event_bus: EventBus) -> EventBus:
    """The plugin's bus, after the settings name the sample room alone."""
    return event_bus


def test_the_bus_takes_events_from_the_outbox_to_their_effects(event_bus: EventBus) -> None:
    counter = uuid4()
    count(counter, 1, 2, 3)

    event_bus.run()

    assert not OutboxEvent.objects.exists()
    assert [event.number for event in event_bus.events(Counted)] == [1, 2, 3]
    assert numbers(counter) == [1, 2, 3]
    assert InboxEvent.objects.count() == 3


def test_an_event_that_could_not_be_handled_fails_the_test_with_its_traceback(event_bus: EventBus) -> None:
    troubles[2] = lambda: RuntimeError("boom")
    count(uuid4(), 1, 2)

    with pytest.raises(
        HandlingFailedError, match=r"sample-consumer-group could not handle[\s\S]*in remember[\s\S]*boom"
    ):
        event_bus.run()


def test_a_test_of_failures_sees_what_is_parked_and_lets_time_pass(event_bus: EventBus) -> None:
    counter = uuid4()
    troubles[1] = lambda: RuntimeError("boom")
    count(counter, 1, 2)

    assert [parked.state for parked in event_bus.run_with_failures()] == ["retrying", "queued"]
    assert [parked.attempts for parked in event_bus.retry()] == [2, 0]
    troubles.clear()
    assert event_bus.retry() == []
    assert numbers(counter) == [1, 2]


def test_a_dead_letter_is_seen_by_the_test_that_made_it(event_bus: EventBus) -> None:
    troubles[1] = lambda: DomainError("the rule says no")
    count(uuid4(), 1)

    [dead] = event_bus.run_with_failures()

    assert (dead.state, dead.error) == ("dead", "the rule says no")
    assert event_bus.run_with_failures() == []


@pytest.mark.parametrize(
    "point",
    ["before_produce", "after_ack_before_delete", "before_batch", "before_commit", "after_commit_before_offsets"],
)
def test_a_process_that_crashes_loses_nothing_and_doubles_nothing(event_bus: EventBus, point: str) -> None:
    counter = uuid4()
    count(counter, 1, 2)

    with event_bus.crash_at(point):
        event_bus.run()
    event_bus.run()

    assert numbers(counter) == [1, 2]


@pytest.mark.parametrize("point", ["before_park", "before_retry", "during_retry"])
def test_a_process_that_crashes_over_a_failure_keeps_it(event_bus: EventBus, point: str) -> None:
    counter = uuid4()
    troubles[1] = lambda: RuntimeError("boom")
    count(counter, 1, 2)

    if point != "before_park":
        event_bus.run_with_failures()
        troubles.clear()
    with event_bus.crash_at(point):
        event_bus.retry()
    troubles.clear()
    event_bus.run_with_failures()
    event_bus.retry()

    assert numbers(counter) == [1, 2]


def test_a_crash_that_did_not_happen_fails_the_test(event_bus: EventBus) -> None:
    with pytest.raises(AssertionError, match="nothing came by before_commit"), event_bus.crash_at("before_commit"):
        event_bus.run()


def test_an_answer_that_was_lost_makes_a_copy_on_the_topic_and_none_in_the_effects(event_bus: EventBus) -> None:
    counter = uuid4()
    event_bus.broker.fates = ["written", "lost_answer"]
    count(counter, 1, 2)

    event_bus.run()

    assert [event.number for event in event_bus.events(Counted)] == [1, 2, 2]
    assert numbers(counter) == [1, 2]


def test_an_event_that_the_broker_refuses_is_held_and_others_go(event_bus: EventBus) -> None:
    bad, good = uuid4(), uuid4()
    event_bus.broker.fates = ["refused"]
    count(bad, 1)
    count(good, 1)

    event_bus.run()

    assert HeldKey.objects.get().key == str(bad)
    assert (numbers(bad), numbers(good)) == ([], [1])


def test_everything_read_again_changes_nothing(event_bus: EventBus) -> None:
    counter = uuid4()
    count(counter, 1, 2)
    event_bus.run()

    event_bus.redeliver()
    event_bus.run()

    assert numbers(counter) == [1, 2]
    assert not ParkedEvent.objects.exists()


def test_a_bus_that_does_not_come_to_rest_ends_the_test(event_bus: EventBus) -> None:
    count(uuid4(), 1)

    with pytest.raises(AssertionError, match="still not quiet after 1 rounds"):
        event_bus.run(rounds=1)


def test_fixtures_give_the_functions_without_an_import(published: Any, deliver: Any, armed: Any) -> None:
    counter = uuid4()
    count(counter, 1)

    [event] = published(Counted)
    passed = []
    with armed("before_batch", lambda: passed.append("before_batch")):
        deliver(event)

    assert (numbers(counter), passed) == ([1], ["before_batch"])


def test_an_unknown_fault_point_is_refused(armed: Any) -> None:
    with pytest.raises(KeyError, match="before_lunch"), armed("before_lunch", lambda: None):
        raise CrashedError


@pytest.mark.parametrize(("stand_in", "real"), [(MemoryProducer, EventProducer), (MemoryConsumer, EventConsumer)])
def test_the_broker_in_memory_is_asked_as_the_real_clients_are(stand_in: type, real: type) -> None:
    def methods(client: type) -> dict[str, list[str]]:
        return {
            name: list(signature(method).parameters)
            for name, method in vars(client).items()
            if isfunction(method) and not name.startswith("_")
        }

    taken, wanted = methods(stand_in), methods(real)

    assert taken.keys() == wanted.keys()
    assert {name for name, given in taken.items() if given != wanted[name][: len(given)]} == set()
