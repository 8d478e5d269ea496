"""What the producer gives up, it gives up in order: nothing of a key is written past something that was not."""

from typing import Any

import pytest

from devstack.kafka_builtin import BuiltinBroker
from eventbus.kafka.outcome import Outcome
from eventbus.kafka.producer import EventProducer
from eventbus.kafka.reading import tail
from eventbus.messages import Row
from tests.eventbus.conftest import after

LARGE = b"x" * 880_000  # the client's queue of 64 MiB is full after some seventy of them
MANY = 90


def test_a_queue_that_was_full_while_the_broker_was_away_leaves_no_gap(
    bus: Any, builtin: BuiltinBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "delivery_timeout_seconds": 3.0}
    rows = [Row(n, 0, "sample.counted", "one", LARGE, {"n": str(n)}) for n in range(MANY)]
    answer = Outcome.answer

    def note(outcome: Outcome, row: Row, error: Any) -> None:
        answer(outcome, row, error)
        if len(outcome.answers) == 1:
            builtin.set_up()

    monkeypatch.setattr(Outcome, "answer", note)
    producer = EventProducer()
    builtin.set_down()
    outcome = producer.publish(rows)
    producer.close()
    builtin.set_up()

    written = [int(m.headers["n"]) for m in tail(["sample.counted"], from_beginning=True, stop=after(2))]
    assert written == list(range(len(written)))
    assert len(written) < MANY
    assert outcome.broken
    assert outcome.acknowledged() == rows[: len(outcome.acknowledged())]
