"""@handles and @handles_many: which function of which room answers which event."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from eventbus.conf import bus_settings
from eventbus.events import Event, spec_of
from eventbus.exceptions import CatalogError

Function = Callable[[Any], None]
HandlerFunction = TypeVar("HandlerFunction", bound=Function)


@dataclass(frozen=True, slots=True)
class Handler:
    """One function and how it is called: with an event, or with the list of a batch's events."""

    function: Function
    takes_many: bool

    def __call__(self, event: Any) -> None:
        """Answer one event alone."""
        self.function([event] if self.takes_many else event)

    @property
    def name(self) -> str:
        """What the function is called in its module."""
        return self.function.__qualname__


_handlers: dict[str, dict[str, list[Handler]]] = {}


def handles(*event_classes: type[Event]) -> Callable[[HandlerFunction], HandlerFunction]:
    """Let this function answer these events, one at a time, as its room's consumer group.

    It runs inside the transaction that also records the event as handled. It may raise DomainError (dead letter at
    once), NotYetError (wait) or anything else (retry with backoff); its effects are rolled back then.
    """
    return _registers(event_classes, takes_many=False)


def handles_many(*event_classes: type[Event]) -> Callable[[HandlerFunction], HandlerFunction]:
    """Let this function answer a list of these events with a few statements: for hot topics and projections.

    It is called once for each transaction of a batch, after the handlers of single events, with all of the batch's new
    events of these classes in the order in which they came; a list of one when an event is tried alone, because the
    batch failed or because it is retried. It raises what a handler may raise, and may not publish: what it told would
    have no single cause.
    """
    return _registers(event_classes, takes_many=True)


def _registers(
    event_classes: tuple[type[Event], ...], *, takes_many: bool
) -> Callable[[HandlerFunction], HandlerFunction]:
    def register(function: HandlerFunction) -> HandlerFunction:
        room, handler = function.__module__.partition(".")[0], Handler(function, takes_many)
        for event_class in event_classes:
            answers = _handlers.setdefault(room, {}).setdefault(spec_of(event_class).topic, [])
            if any(known.name == handler.name for known in answers):
                raise CatalogError(f"{room} already handles {event_class.__name__} with {handler.name}")
            answers.append(handler)
        return function

    return register


def handlers_of(room: str) -> Mapping[str, list[Handler]]:
    """A room's handlers by event type; a room without any reads nothing."""
    bus_settings().room(room)
    return _handlers.get(room, {})
