from uuid import UUID

from eventbus.events import Event, event


@event("chaos.counted", version="1.0", key="counter_id", aggregate="counter")
class Counted(Event):
    """A counter reached a number."""

    counter_id: UUID
    number: int
