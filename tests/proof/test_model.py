"""The machine must not find a way to lose, invert or repeat anything; with a mistake built in it must find it."""

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import IntegrityError, connection
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from eventbus import consumer, parking, relay
from eventbus.kafka.outcome import Outcome
from eventbus.messages import Row
from eventbus.processing import Processor
from tests.proof.machine import GOES_WELL, KEYS, BusMachine, producer_of, source_of

HISTORIES = int(os.environ.get("PROOF_HISTORIES", "60"))  # a night's worth: PROOF_HISTORIES=5000
STEPS = 50

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("machine")]


@pytest.fixture
def machine(sample_room: None, bus: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two writers with connections of their own, and the clients of Kafka replaced."""
    bus.EVENTBUS = {**bus.EVENTBUS, "lease_seconds": 3600.0, "relay_batch_min": 32, "consumer_batch": 5}
    world: dict[str, Any] = {}
    monkeypatch.setattr(relay, "EventProducer", producer_of(world))
    monkeypatch.setattr(consumer, "EventConsumer", source_of(world))
    monkeypatch.setattr(consumer, "RETRY_SECONDS", math.inf)
    writers = [ThreadPoolExecutor(1), ThreadPoolExecutor(1)]
    monkeypatch.setattr(BusMachine, "world", world, raising=False)
    monkeypatch.setattr(BusMachine, "writers", writers, raising=False)
    monkeypatch.setattr(BusMachine, "steps", 0)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS proof_counter (id uuid PRIMARY KEY, number int NOT NULL)")
    yield
    for writer in writers:
        writer.submit(lambda: connection.close()).result()  # noqa: PLW0108 - the thread's own
        writer.shutdown()
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE proof_counter")
        cursor.execute("TRUNCATE sample_effect")


def test_no_history_loses_inverts_or_repeats_anything() -> None:
    run_state_machine_as_test(
        BusMachine,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

    assert BusMachine.steps >= 35 * HISTORIES  # 2,100 of them in every run


def eventful_history() -> None:
    """By hand what the machine does at random: a producer dies, a handler fails, a consumer is killed twice."""
    machine, first, second = BusMachine(), KEYS[0], KEYS[1]
    machine.a_handler_will_fail(key=first, which=1, kind="passing")
    for key in (first, first, second):
        machine.write(writer=0, key=key, is_committed=True)
    machine.the_broker_will(fates=["broken"])
    for work in (
        lambda: machine.relay(number=0, mishap=GOES_WELL),
        lambda: machine.relay(number=0, mishap=GOES_WELL),
        lambda: machine.consume(number=0, mishap=("before_batch", "kill")),
        lambda: machine.consume(number=0, mishap=("after_commit_before_offsets", "kill")),
        lambda: machine.consume(number=0, mishap=GOES_WELL),
        machine.teardown,
    ):
        work()
        machine.the_log_holds_each_key_in_the_order_of_its_lock()
        machine.effects_follow_the_log_and_wait_for_their_head()
        machine.everything_taken_has_its_effect_or_is_kept()


def test_the_history_that_finds_mistakes_finds_none_in_what_is_right() -> None:
    eventful_history()


def delete_before_produce(patch: pytest.MonkeyPatch) -> None:
    produce = relay.Relay._produce

    def wrong(self: relay.Relay, rows: list[Row]) -> Outcome:
        self._finish(rows, self.leases.held())
        return produce(self, rows)

    patch.setattr(relay.Relay, "_produce", wrong)


def handle_what_was_handled(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Processor, "_claim", lambda self, deliveries: list(deliveries))


def go_past_parked_keys(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(parking, "_parked_among", lambda group, places: set())


def offsets_before_effects(patch: pytest.MonkeyPatch) -> None:
    handle = consumer.Consumer._handle

    def wrong(self: consumer.Consumer, messages: Any) -> None:
        self._source.done(messages)
        handle(self, messages)

    patch.setattr(consumer.Consumer, "_handle", wrong)


def newest_first(patch: pytest.MonkeyPatch) -> None:
    fetch = relay.Relay._fetch
    patch.setattr(relay.Relay, "_fetch", lambda self, owned: fetch(self, owned)[::-1])


@pytest.mark.parametrize(
    "mistake",
    [delete_before_produce, handle_what_was_handled, go_past_parked_keys, offsets_before_effects, newest_first],
)
def test_a_mistake_is_found(mistake: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    mistake(monkeypatch)

    with pytest.raises((AssertionError, IntegrityError)):  # an invariant, or the database's own constraint
        eventful_history()
