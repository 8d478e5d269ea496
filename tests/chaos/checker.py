"""The judge: compares what every group made of the events, and the journal of them, with what the writers committed."""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

JOURNAL = "the journal"

# The journal is judged as one group more: its effects are the messages on the topic, in the order of their offsets. A
# repetition on the topic is no mistake, the relay promises none; one place journaled twice would be.
JUDGE = """
WITH groups AS (SELECT unnest(%(groups)s::text[]) AS "group" UNION ALL SELECT %(journal)s),
journal AS (
    SELECT (convert_from(payload, 'UTF8')::jsonb->>'counterId')::uuid AS counter_id,
           (convert_from(payload, 'UTF8')::jsonb->>'number')::bigint AS number, partition, "offset"
      FROM eventbus_journalevent WHERE topic = 'chaos.counted'),
truth AS (
    SELECT "group", id AS counter_id, n AS number
      FROM groups CROSS JOIN chaos_counter CROSS JOIN LATERAL generate_series(1, chaos_counter.number) AS n),
taken AS (
    SELECT "group", counter_id, number, count(*) AS times, min(id) AS first FROM chaos_effect GROUP BY 1, 2, 3
     UNION ALL
    SELECT %(journal)s, counter_id, number, 1 + count(*) - count(DISTINCT (partition, "offset")), min("offset")
      FROM journal GROUP BY 1, 2, 3),
walked AS (
    SELECT number, max(number) OVER (PARTITION BY "group", counter_id ORDER BY first
                                     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS highest_before
      FROM taken)
SELECT (SELECT count(*) FROM truth LEFT JOIN taken USING ("group", counter_id, number) WHERE taken.first IS NULL),
       (SELECT coalesce(sum(times - 1), 0) FROM taken),
       (SELECT count(*) FROM walked WHERE number < highest_before),
       (SELECT count(*) FROM taken LEFT JOIN truth USING ("group", counter_id, number) WHERE truth.number IS NULL),
       (SELECT coalesce(sum(number), 0) FROM chaos_counter)
"""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How many effects are wrong, over all groups and the journal; each had to handle the `committed` events."""

    lost: int  # committed, and without effect in some group
    doubled: int  # took effect again
    inverted: int  # took effect after a later number of its counter
    untrue: int  # took effect and was never committed
    committed: int

    @property
    def is_exact(self) -> bool:
        """Whether every event took effect exactly once, in order; nothing is exact about no events."""
        return self.committed > 0 and not (self.lost or self.doubled or self.inverted or self.untrue)

    def __str__(self) -> str:
        return (
            f"{self.committed} events committed: "
            f"lost {self.lost}, doubled {self.doubled}, inverted {self.inverted}, untrue {self.untrue}"
        )


def judge(connection: psycopg.Connection, groups: Sequence[str]) -> Verdict:
    """The verdict on these groups' effects as they are now."""
    row = connection.execute(JUDGE, {"groups": list(groups), "journal": JOURNAL}).fetchone()
    assert row is not None
    lost, doubled, inverted, untrue, committed = map(int, row)
    return Verdict(lost=lost, doubled=doubled, inverted=inverted, untrue=untrue, committed=committed)
