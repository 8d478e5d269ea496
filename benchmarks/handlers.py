"""How the benchmarks' room answers."""

from benchmarks.events import Counted, Traced
from benchmarks.models import Counter, Effect
from eventbus.handlers import handles


@handles(Counted)
def move_counter(counted: Counted) -> None:
    """One ORM update a message."""
    Counter.objects.filter(pk=counted.counter_id).update(number=counted.number)


@handles(Traced)
def leave_trace(traced: Traced) -> None:
    """One ORM insert a message."""
    Effect.objects.create(event_id=traced.id)
