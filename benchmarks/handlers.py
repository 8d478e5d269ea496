"""How the benchmarks' room answers."""

from collections.abc import Sequence

from django.db import connection

from benchmarks.events import Counted, Tallied, Traced
from benchmarks.models import Counter, Effect
from eventbus.handlers import handles, handles_many

MOVE_COUNTERS = f"""
UPDATE {Counter._meta.db_table} counter SET number = last.number
  FROM unnest(%s::uuid[], %s::int8[]) AS last(id, number) WHERE counter.id = last.id
"""


@handles(Counted)
def move_counter(counted: Counted) -> None:
    """One ORM update a message."""
    Counter.objects.filter(pk=counted.counter_id).update(number=counted.number)


@handles_many(Tallied)
def move_counters(tallies: Sequence[Tallied]) -> None:
    """One statement a batch: only the last number of each counter counts."""
    last = {str(tallied.counter_id): tallied.number for tallied in tallies}
    with connection.cursor() as cursor:
        cursor.execute(MOVE_COUNTERS, [list(last), list(last.values())])


@handles_many(Traced)
def leave_traces(traces: Sequence[Traced]) -> None:
    """One insert a batch, as a topic of a thousand events a second is answered."""
    Effect.objects.bulk_create([Effect(event_id=traced.id) for traced in traces])
