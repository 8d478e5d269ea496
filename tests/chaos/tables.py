"""The two tables of a run: how far each counter was counted, and what each group made of it, in the order it did."""

from uuid import NAMESPACE_OID, uuid5

import psycopg

COUNTERS = [uuid5(NAMESPACE_OID, f"counter {number}") for number in range(40)]

# A counter and its events change in one transaction: it is the truth. Its numbers have no gap.
TABLES = """
CREATE TABLE chaos_counter (id uuid PRIMARY KEY, number bigint NOT NULL);
CREATE TABLE chaos_effect (
    id bigserial PRIMARY KEY, "group" text NOT NULL, counter_id uuid NOT NULL, number bigint NOT NULL);
CREATE INDEX ON chaos_effect ("group", counter_id, number);
"""

PROGRESS = """
SELECT c.id, c.number, least_reached.number
  FROM chaos_counter c
 CROSS JOIN LATERAL (
       SELECT min(coalesce(reached.number, 0)) AS number
         FROM unnest(%s::text[]) AS g("group")
         LEFT JOIN LATERAL (SELECT max(e.number) AS number FROM chaos_effect e
                             WHERE e."group" = g."group" AND e.counter_id = c.id) AS reached ON true) AS least_reached
"""


def create(connection: psycopg.Connection) -> None:
    """Empty tables, every counter at zero."""
    connection.execute(TABLES)
    connection.cursor().executemany("INSERT INTO chaos_counter VALUES (%s, 0)", [[counter] for counter in COUNTERS])
