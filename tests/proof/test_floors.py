"""Where a fetch may begin: never above a row that can still appear, and high enough that deleted rows cost nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction

from eventbus import backlog, operators
from eventbus import relay as relay_module
from eventbus.models import HeldKey, OutboxEvent
from eventbus.outbox import publish
from eventbus.relay import Relay
from tests.eventbus.sample import Counted
from tests.proof.queue import Acknowledging, fetch_plan, fill, pages, raise_floors

DELETED = 200_000
INSERT = """
INSERT INTO eventbus_outboxevent
       (id, event_id, bucket, topic, key, payload, headers, aggregate_type, aggregate_id, sequence)
VALUES (%s, gen_random_uuid(), 0, 'sample.counted', 'late', '', '{}', 'counter', 'late', 0)
"""

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture
def relay(bus: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """With one bucket, and floors that are thought about in every round."""
    bus.EVENTBUS = {**bus.EVENTBUS, "buckets": 1, "relay_batch_min": 2000, "lease_seconds": 3600.0}
    monkeypatch.setattr(relay_module, "EventProducer", Acknowledging)
    monkeypatch.setattr(backlog, "LOOK_SECONDS", 0.0)
    relay = Relay()
    relay.leases.start()
    relay.leases.balance()
    yield relay
    relay._close()


@contextmanager
def another_transaction(*statements: str) -> Iterator[Any]:
    """A transaction on a connection of its own that has done this and stays open; gives its cursor."""
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("BEGIN")
        for statement in statements:
            cursor.execute(statement)
        yield cursor
    other.close()


def publish_some(*keys: UUID) -> None:
    with transaction.atomic():
        publish(*(Counted(counter_id=key, number=1) for key in keys))


def floor_of(relay: Relay) -> int:
    [floor] = relay.backlog.floors.above(relay.leases.held())
    return floor


def rounds_with_work(relay: Relay, number: int = 4) -> None:
    for _ in range(number):
        publish_some(uuid4())
        assert relay.round() > 0


def test_a_floor_rises_behind_what_was_deleted(relay: Relay) -> None:
    rounds_with_work(relay)
    raise_floors(relay, 1)

    publish_some(uuid4())
    assert 0 < floor_of(relay) < OutboxEvent.objects.get().pk


def test_no_floor_rises_past_a_transaction_that_may_still_commit_a_lower_id(relay: Relay) -> None:
    with another_transaction("SELECT pg_current_xact_id()", "SELECT nextval('eventbus_outboxevent_id_seq')") as cursor:
        [(late_id,)] = cursor.fetchall()
        rounds_with_work(relay)
        assert floor_of(relay) < late_id

        cursor.execute(INSERT, [late_id])
        cursor.execute("COMMIT")

    assert relay.round() == 1
    assert relay._producer.keys[-1] == "late"


def test_no_floor_rises_over_a_held_key(relay: Relay) -> None:
    held = uuid4()
    hold = HeldKey.objects.create(topic="sample.counted", key=str(held), outbox_id=0, reason="for the test")
    publish_some(held)
    rounds_with_work(relay)

    operators.release_key(hold, actor="ann")

    assert relay.round() == 1
    assert relay._producer.keys[-1] == str(held)


def test_a_lost_lease_takes_the_floor_with_it(relay: Relay) -> None:
    rounds_with_work(relay)
    raise_floors(relay, 1)

    assert relay.backlog.floors.above({0: relay.leases.held()[0] + 1}) == [0]


def test_publish_has_its_transaction_id_before_it_draws_a_row_id(relay: Relay) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION seen_id() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF pg_current_xact_id_if_assigned() IS NULL THEN RAISE EXCEPTION 'no transaction id'; END IF;"
            " RETURN NEW; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER seen BEFORE INSERT ON eventbus_outboxevent FOR EACH ROW EXECUTE FUNCTION seen_id()"
        )
    try:
        publish_some(uuid4())
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION seen_id CASCADE")

    assert OutboxEvent.objects.count() == 1


def test_under_a_held_snapshot_a_fetch_does_not_pay_for_what_was_deleted(relay: Relay) -> None:
    snapshot = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM eventbus_outboxevent")
    with another_transaction(*snapshot):
        fill(DELETED, buckets=1)
        last_id = OutboxEvent.objects.latest("id").pk
        while relay.round():
            pass
        assert relay.published == DELETED
        raise_floors(relay, last_id)
        publish_some(*(uuid4() for _ in range(100)))

        assert pages(fetch_plan(buckets=1, floors=[0], per_bucket=1000)) > DELETED // 100
        assert pages(fetch_plan(buckets=1, floors=[floor_of(relay)], per_bucket=1000)) < DELETED // 1000
