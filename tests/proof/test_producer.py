"""What the producer gives up, it gives up in order: nothing of a key is written past something that was not."""

from functools import partial
from typing import Any

from devstack.kafka_builtin import BuiltinBroker
from eventbus.kafka.producer import EventProducer
from eventbus.kafka.reading import tail
from tests.eventbus.conftest import after

LARGE = b"x" * 880_000  # the client's queue of 64 MiB is full after some seventy of them
MANY = 90


def test_a_queue_that_was_full_while_the_broker_was_away_leaves_no_gap(bus: Any, builtin: BuiltinBroker) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "delivery_timeout_seconds": 3.0}
    answers: dict[int, Any] = {}
    producer = EventProducer()
    builtin.set_down()

    def note(number: int, error: Any) -> None:
        answers[number] = error
        if len(answers) == 1:
            builtin.set_up()

    for number in range(MANY):
        producer.send(
            topic="sample.counted",
            key=b"one",
            value=LARGE,
            headers={"n": str(number)},
            done=partial(note, number),
        )
    producer.wait()
    producer.close()
    builtin.set_up()

    written = [int(m.headers["n"]) for m in tail(["sample.counted"], from_beginning=True, stop=after(2))]
    assert written == list(range(len(written)))
    assert len(written) < MANY
    assert producer.broken
