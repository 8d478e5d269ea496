"""What waits in the outbox: read in the order of each key, deleted when the broker has it.

Both are one statement a round, sent past Django's cursor where binary rows are read. The fetch bounds each bucket by
pairs of (bucket, id), because only the index on both can answer that: asked for a bucket in the order of ids, the
planner at times walks the primary key and throws the other buckets' rows away.
"""

import json
import time
from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec
import psycopg
from django.db import connection

from eventbus.floors import Floors
from eventbus.messages import Row
from eventbus.processing import bookkept

LOOK_SECONDS = 0.1

FETCH = """
SELECT o.id, o.bucket, o.topic, o.key, o.payload, o.headers::text, EXISTS (SELECT FROM eventbus_heldkey)
  FROM unnest(%b::int2[], %b::int8[]) AS owned(bucket, floor)
 CROSS JOIN LATERAL (
       SELECT * FROM eventbus_outboxevent e
        WHERE (e.bucket, e.id) > (owned.bucket, owned.floor)
          AND (e.bucket, e.id) < (owned.bucket + 1, 0)
          AND e.topic <> ALL (%b::text[])
          AND (e.topic, e.key) NOT IN (SELECT topic, key FROM eventbus_heldkey)
        ORDER BY e.bucket, e.id LIMIT %b) o
 ORDER BY o.id
"""

FINISH = """
DELETE FROM eventbus_outboxevent o
 USING unnest(%s::int2[], %s::int8[]) AS owned(bucket, epoch)
  JOIN eventbus_relaybucket lease
    ON lease.bucket = owned.bucket AND lease.epoch = owned.epoch AND lease.owner = %s
 WHERE o.bucket = owned.bucket AND o.id = ANY (%s::int8[])
"""

LOOK = "SELECT pg_snapshot_xmin(s)::text::int8, pg_snapshot_xmax(s)::text::int8 FROM pg_current_snapshot() AS s"

_headers = msgspec.json.Decoder(dict[str, str])


def _read_headers(text: str) -> dict[str, str]:
    """Headers as publish() writes them; what another hand wrote and is not text travels as its JSON."""
    try:
        return _headers.decode(text)
    except msgspec.ValidationError:
        found = json.loads(text)
        named = found if isinstance(found, dict) else {"headers": found}
        return {name: value if isinstance(value, str) else json.dumps(value) for name, value in named.items()}


class Backlog:
    """One relay's view of the outbox; durations in seconds. Every method raises DatabaseUnavailableError."""

    def __init__(self, owner: UUID) -> None:
        self.owner = owner
        self.floors = Floors()
        self._connection: object = None  # the one that the floors were learned on
        self._looked_at = 0.0
        self._fetched = 0  # rows of the last fetch
        self._limit = 0
        self._may_raise = False  # floors, if the last fetch is finished to the last row

    def fetch(self, owned: Mapping[int, int], *, without: Sequence[str], per_bucket: int) -> list[Row]:
        """Of each owned bucket (with its lease's epoch) the lowest rows, in the order of their ids.

        Leaves out held keys and the topics `without`.
        """
        rows, is_held = bookkept(lambda: self._read(owned, without=without, per_bucket=per_bucket))
        self._fetched, self._limit = len(rows), per_bucket
        self._may_raise = self._may_raise and not is_held and not without
        return rows

    def finish(self, rows: Sequence[Row], owned: Mapping[int, int]) -> int:
        """Delete acknowledged rows whose buckets are still leased as `owned` says; how many were."""
        ids = "{" + ",".join([str(row.id) for row in rows]) + "}"

        def delete() -> int:
            with connection.cursor() as cursor:
                cursor.execute(FINISH, [list(owned.keys()), list(owned.values()), self.owner, ids])
                return int(cursor.rowcount)

        finished = bookkept(delete)
        if self._may_raise and finished == self._fetched:
            self.floors.emptied(rows, self._limit)
        return finished

    def _read(self, owned: Mapping[int, int], *, without: Sequence[str], per_bucket: int) -> tuple[list[Row], bool]:
        connection.ensure_connection()
        if connection.connection is not self._connection:
            self.floors.forget()
            self._connection = connection.connection
        # Django's own cursors cannot fetch binary rows, and only they translate psycopg's errors by themselves.
        with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
            self._may_raise = self._look(cursor)
            bounds = [list(owned), self.floors.above(owned)]
            cursor.execute(FETCH, [*bounds, list(without), per_bucket], binary=True)
            found = cursor.fetchall()
        rows = [
            Row(row_id, bucket, topic, key, payload, _read_headers(headers))
            for row_id, bucket, topic, key, payload, headers, _ in found
        ]
        return rows, bool(found) and found[0][-1]

    def _look(self, cursor: psycopg.Cursor) -> bool:
        """Whether the snapshot was looked at just now; an empty outbox needs no floor."""
        now = time.monotonic()
        if not self._fetched or now - self._looked_at < LOOK_SECONDS:
            return False
        self._looked_at = now
        cursor.execute(LOOK)
        [(oldest, following)] = cursor.fetchall()
        self.floors.look(oldest, following)
        return True
