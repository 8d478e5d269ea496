"""An outbox that is filled and emptied by the hundred thousand, and what a fetch from it costs in pages."""

import time
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from django.db import connection

from eventbus.backlog import FETCH
from eventbus.kafka.outcome import Outcome
from eventbus.messages import Row
from eventbus.relay import Relay

PATIENCE_SECONDS = 300.0

FILL = """
INSERT INTO eventbus_outboxevent
       (event_id, bucket, topic, key, payload, headers, aggregate_type, aggregate_id, sequence)
SELECT gen_random_uuid(), n %% %s, 'sample.counted', n::text, '', '{}', 'counter', n::text, 0
  FROM generate_series(1, %s) AS n
"""


class Acknowledging:
    """A producer whose broker takes everything and keeps nothing but the keys."""

    def __init__(self, connection: Any = None) -> None:
        self.keys: list[str] = []

    def publish(self, rows: Sequence[Row]) -> Outcome:
        self.keys += [row.key for row in rows]
        return Outcome(rows, answers=dict.fromkeys([row.id for row in rows]))

    def missing(self, topics: Iterable[str]) -> list[str]:
        return []

    def close(self) -> None:
        pass


def fill(rows: int, *, buckets: int) -> None:
    """So many waiting events, spread over the buckets."""
    with connection.cursor() as cursor:
        cursor.execute(FILL, [buckets, rows])


def raise_floors(relay: Relay, reach: int) -> None:
    """Rounds with a little work until no bucket's floor is lower than this id.

    A transaction anywhere in the cluster, of a neighbour's test or of autovacuum, holds them down as long as it lasts.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while min(relay.backlog.floors.above(relay.leases.held())) < reach:
        assert time.monotonic() < deadline, "the floors do not rise"
        fill(len(relay.leases.held()), buckets=len(relay.leases.held()))
        assert relay.round() > 0  # never an empty one: the round after it would not look at the snapshot


def fetch_plan(*, buckets: int, floors: Sequence[int], per_bucket: int) -> dict[str, Any]:
    """What PostgreSQL did for the relay's own fetch."""
    connection.ensure_connection()
    with psycopg.Cursor(connection.connection) as cursor:
        parameters = [list(range(buckets)), list(floors), [], per_bucket]
        cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + FETCH, parameters, binary=True)
        [[[plan]]] = cursor.fetchall()
    return dict(plan["Plan"])


def pages(plan: dict[str, Any]) -> int:
    """The pages that it touched."""
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
