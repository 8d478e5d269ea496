"""The event that everything is measured with: 300 bytes on the wire, headers as every event of ours has them."""

from uuid import UUID

from eventbus.events import Event, event

PADDING = "x" * 107  # brings the value to 300 bytes


@event("benchmark.counted", version="1.0", key="counter_id", aggregate="counter")
class Counted(Event):
    """A counter reached a number."""

    counter_id: UUID
    number: int
    padding: str = PADDING


@event("benchmark.counted_plainly", version="1.0", key="counter_id", aggregate="counter")
class CountedPlainly(Counted):
    """The same, for a consumer that is not the bus's."""


@event("benchmark.tallied", version="1.0", key="counter_id", aggregate="counter")
class Tallied(Counted):
    """The same, answered by the batch."""


@event("benchmark.traced", version="1.0", key="counter_id", aggregate="counter")
class Traced(Counted):
    """The same, answered with a row of its own, so that each effect's commit can be found."""
