"""How much a relay's round takes: more while there is more, less where events are large, or its memory would grow."""

from typing import Any

import pytest
from django.db import connection

from eventbus import relay as relay_module
from eventbus.messages import Row
from eventbus.relay import Relay
from tests.proof.queue import FILL, Acknowledging

SIZE, LIMIT = 10_000, 100_000  # bytes of a large event, and of a round


@pytest.fixture
def rounds(monkeypatch: Any) -> list[list[Row]]:
    """The rows of each round."""
    taken: list[list[Row]] = []

    class Noting(Acknowledging):
        def publish(self, rows: Any) -> Any:
            taken.append(list(rows))
            return super().publish(rows)

    monkeypatch.setattr(relay_module, "EventProducer", Noting)
    return taken


@pytest.fixture
def relay(bus: Any, db: None) -> Relay:
    bus.EVENTBUS = {**bus.EVENTBUS, "buckets": 1, "relay_batch_min": 2, "relay_batch_max": 64}
    bus.EVENTBUS = {**bus.EVENTBUS, "relay_batch_bytes": LIMIT, "lease_seconds": 3600.0}
    relay = Relay()
    relay.leases.balance()
    return relay


def fill(rows: int, *, size: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(FILL, [1, rows])
        cursor.execute("UPDATE eventbus_outboxevent SET payload = convert_to(repeat('x', %s), 'UTF8')", [size])


def empty(relay: Relay) -> None:
    while relay.round():
        pass


def test_a_backlog_of_small_events_makes_rounds_grow_to_their_most(relay: Relay, rounds: list[list[Row]]) -> None:
    fill(400, size=10)

    empty(relay)

    assert [len(rows) for rows in rounds[:6]] == [2, 4, 8, 16, 32, 64]
    assert max(map(len, rounds)) == 64


def test_a_backlog_of_large_events_does_not_make_them_grow_beyond_their_bytes(
    relay: Relay, rounds: list[list[Row]]
) -> None:
    fill(100, size=SIZE)

    empty(relay)

    assert max(map(len, rounds)) * SIZE <= LIMIT
    assert [len(rows) for rows in rounds[:3]] == [2, 4, 8]
    assert sum(map(len, rounds)) == 100


def test_large_events_behind_small_ones_make_the_next_round_small(relay: Relay, rounds: list[list[Row]]) -> None:
    fill(62, size=10)
    empty_rounds = 0
    while relay._per_bucket < 64:  # five rounds
        relay.round()
        empty_rounds += 1
    assert empty_rounds == 5

    fill(200, size=SIZE)
    relay.round()
    relay.round()

    assert (len(rounds[-2]), len(rounds[-1])) == (64, 10)


def test_events_larger_than_a_round_go_one_by_one_of_each_bucket(relay: Relay, rounds: list[list[Row]]) -> None:
    fill(6, size=2 * LIMIT)

    empty(relay)

    assert [len(rows) for rows in rounds] == [2, 1, 1, 1, 1]


def test_an_idle_relay_begins_small_again(relay: Relay, rounds: list[list[Row]]) -> None:
    fill(126, size=10)
    empty(relay)

    fill(10, size=SIZE)
    relay.round()

    assert len(rounds[-1]) == 2
