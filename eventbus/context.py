"""Who acts, and what caused it: carried from an HTTP request or an event into every event published meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EventContext:
    """The story an event belongs to; every part is an opaque id, never a name or an address."""

    correlation_id: str = ""
    causation_id: str = ""
    actor: str = ""
    traceparent: str = ""


SEVERAL_CAUSES = EventContext(causation_id="several")  # many events are answered at once: nothing can be published

_current: ContextVar[EventContext] = ContextVar("event_context", default=EventContext())  # noqa: B039 - it is frozen


def current_context() -> EventContext:
    """The context that events published now will carry."""
    return _current.get()


@contextmanager
def event_context(context: EventContext) -> Iterator[None]:
    """Publish inside the block as part of this story."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)
