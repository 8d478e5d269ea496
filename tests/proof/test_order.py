"""Sixteen writers, three relays that are stopped and killed: Kafka holds every key in the order of its lock.

The same harness with a known mistake must see it: else it would prove nothing.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from eventbus.models import OutboxEvent
from eventbus.relay import Relay
from tests.proof.simulation import (
    TRANSACTIONS,
    WRITERS,
    CursorRelay,
    Facts,
    HastyRelay,
    publish_early,
    publish_early_in_turn,
    simulate,
)

ROUNDS = 5  # within which a known mistake must show

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("counters")]


@pytest.fixture
def counters(bus: Any) -> Iterator[None]:
    """The aggregates' table, and leases that run out while one looks."""
    bus.EVENTBUS = {**bus.EVENTBUS, "lease_seconds": 0.6, "relay_batch_min": 32, "brokers": "nowhere:9"}
    bus.EVENTBUS["relay_idle_seconds"] = 0.005
    bus.EVENTBUS["buckets"] = 3  # one for each relay, so that keys which share one are common
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS proof_counter (id uuid PRIMARY KEY, number int NOT NULL)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE proof_counter")


def wrong(facts: Facts, found: dict[str, list[str]]) -> tuple[int, int]:
    """How many events are lost, and how many keys are out of order."""
    lost = inverted = 0
    for key, ids in facts.in_order().items():
        there = set(found.get(key, ()))
        lost += len([event_id for event_id in ids if event_id not in there])
        inverted += [event_id for event_id in ids if event_id in there] != found.get(key, [])
    return lost, inverted


def test_every_key_reaches_kafka_complete_and_in_the_order_of_its_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    facts, broker, tally = simulate(monkeypatch)

    found = broker.ids_by_key()
    assert found == facts.in_order()
    assert not facts.rolled_back & {event_id for ids in found.values() for event_id in ids}
    assert len(facts.rolled_back) + sum(map(len, found.values())) == WRITERS * TRANSACTIONS
    assert not OutboxEvent.objects.exists()
    assert tally["stops"] > 0
    assert tally["floors"] > 0


def test_publishing_before_the_lock_is_caught_out_of_order(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(ROUNDS):
        facts, broker, _tally = simulate(monkeypatch, publish_way=publish_early)
        lost, inverted = wrong(facts, broker.ids_by_key())
        assert lost == 0
        if inverted:
            return
    pytest.fail(f"{ROUNDS} rounds of publishing before the lock inverted nothing: the harness sees nothing")


def test_publishing_before_the_lock_keeps_the_order_when_it_waits_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    facts, broker, _tally = simulate(monkeypatch, publish_way=publish_early_in_turn)

    assert broker.ids_by_key() == facts.in_order()


@pytest.mark.parametrize("kind", [CursorRelay, HastyRelay])
def test_stepping_over_late_commits_is_caught_losing_events(monkeypatch: pytest.MonkeyPatch, kind: type[Relay]) -> None:
    for _ in range(ROUNDS):
        facts, broker, _tally = simulate(monkeypatch, relay_kind=kind, relays=1, misfortunes=False, quiet_seconds=3)
        lost, _inverted = wrong(facts, broker.ids_by_key())
        if lost:
            assert OutboxEvent.objects.exists()
            return
    pytest.fail(f"{ROUNDS} rounds of {kind.__name__} lost nothing: the harness sees nothing")
