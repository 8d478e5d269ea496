"""At size: what the relay and the consumers ask all the time is answered by an index, and stays as cheap as it was.

PLAN_ROWS=5000000 and STEADY_ROWS=1000000 ask for the sizes of a bad day; the defaults are large enough for the planner
to prefer a sequential scan where the index cannot answer.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from eventbus import backlog, parking
from eventbus import relay as relay_module
from eventbus.models import InboxEvent, OutboxEvent, ParkedEvent
from eventbus.processing import Processor
from eventbus.relay import Relay
from tests.proof.queue import Acknowledging, fetch_plan, fill, pages, raise_floors

ROWS = int(os.environ.get("PLAN_ROWS", "200000"))
STEADY_ROWS = int(os.environ.get("STEADY_ROWS", "50000"))
WAITING = 1000  # events in the steady queue
GROUP = "sample-consumer-group"
TABLES = {model._meta.db_table for model in (OutboxEvent, InboxEvent, ParkedEvent)}
FILL_INBOX = """
INSERT INTO eventbus_inboxevent ("group", event_id, topic, partition, "offset")
SELECT %s, gen_random_uuid()::text, 'sample.counted', 0, n FROM generate_series(1, %s) AS n
"""
FILL_PARKED = """
INSERT INTO eventbus_parkedevent ("group", topic, key, partition, "offset", event_id, state, next_attempt_at, headers,
                                  attempts, crashes, error_class, error, traceback)
SELECT %s, 'sample.counted', (n / 2)::text, 0, n, n::text,
       CASE n %% 2 WHEN 0 THEN 'retrying' ELSE 'queued' END,
       CASE n %% 2 WHEN 0 THEN now() + interval '1 hour' END, '{}', 0, 0, '', '', ''
  FROM generate_series(2, %s) AS n
"""


@pytest.fixture
def _filled(sample_room: None) -> None:
    """Every table of the bus with so many rows, nothing left behind by other tests, and the planner told."""
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(sorted(TABLES))}")
    fill(ROWS, buckets=16)
    with connection.cursor() as cursor:
        cursor.execute(FILL_INBOX, [GROUP, ROWS])
        cursor.execute(FILL_PARKED, [GROUP, ROWS])
        for table in TABLES:
            cursor.execute(f"ANALYZE {table}")


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def scans_of(plan: dict[str, Any]) -> list[tuple[str, str]]:
    """How each of the large tables is read: the kind of scan and the index."""
    return [
        (node["Node Type"], node.get("Index Name", ""))
        for node in nodes(plan)
        if node.get("Relation Name") in TABLES and "Scan" in node["Node Type"]
    ]


def plans_of(work: Callable[[], object]) -> list[dict[str, Any]]:
    """The plans of the statements that this work sends."""
    with CaptureQueriesContext(connection) as queries:
        work()
    statements = [q["sql"] for q in queries if q["sql"].split()[0] in {"SELECT", "UPDATE", "INSERT", "DELETE"}]
    found = []
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute("EXPLAIN (FORMAT JSON) " + statement)
            [[[plan]]] = cursor.fetchall()
            found.append(plan["Plan"])
    return found


@pytest.mark.usefixtures("_filled")
def test_at_size_every_question_of_the_bus_is_answered_by_its_index() -> None:
    fetch = fetch_plan(buckets=16, floors=[0] * 16, per_bucket=50)
    assert scans_of(fetch) == [("Index Scan", "outbox_in_bucket_order")]
    assert pages(fetch) < 16 * 50 * 3

    with transaction.atomic():
        [claim] = plans_of(lambda: Processor("tests")._claim([parking.delivery_of(a_parked())]))
    assert claim["Conflict Resolution"] == "NOTHING"
    assert scans_of(claim) == []

    parked = plans_of(lambda: parking.blocked_keys(GROUP, [("sample.counted", str(n)) for n in range(100, 150)]))
    parked += plans_of(lambda: parking._begin_attempt(GROUP, ["sample.counted"]))
    assert parked != []
    reads = [scan for plan in parked for scan in scans_of(plan)]
    assert reads != []
    assert {kind for kind, _ in reads} <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}


def a_parked() -> ParkedEvent:
    """One of the many."""
    return ParkedEvent(group=GROUP, topic="sample.counted", key="1", partition=0, offset=0, event_id="x", payload=b"")


@pytest.mark.django_db(transaction=True)
def test_a_steady_queue_leaves_the_fetch_as_cheap_as_it_was(bus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "relay_batch_min": WAITING, "lease_seconds": 3600.0}
    monkeypatch.setattr(relay_module, "EventProducer", Acknowledging)
    monkeypatch.setattr(backlog, "LOOK_SECONDS", 0.0)
    relay = Relay()
    relay.leases.start()
    relay.leases.balance()
    costs, last_id = [], 0
    while relay.published < STEADY_ROWS:
        raise_floors(relay, last_id)
        fill(WAITING, buckets=16)
        last_id = OutboxEvent.objects.latest("id").pk
        floors = relay.backlog.floors.above(relay.leases.held())
        costs.append(pages(fetch_plan(buckets=16, floors=floors, per_bucket=WAITING)))
        while relay.round():
            pass
    relay._close()

    tenth = max(1, len(costs) // 10)
    assert max(costs[-tenth:]) <= 2 * max(costs[:tenth])
