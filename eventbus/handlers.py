"""@handles: which function of which room answers which event."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from eventbus.conf import bus_settings
from eventbus.events import Event, spec_of
from eventbus.exceptions import CatalogError

Handler = Callable[[Any], None]
HandlerFunction = TypeVar("HandlerFunction", bound=Handler)

_handlers: dict[str, dict[str, list[Handler]]] = {}


def handles(*event_classes: type[Event]) -> Callable[[HandlerFunction], HandlerFunction]:
    """Let this function answer these events as its room's consumer group.

    It runs inside the transaction that also records the event as handled. It may raise DomainError (dead letter at
    once), NotYetError (wait) or anything else (retry with backoff); its effects are rolled back then.
    """

    def register(function: HandlerFunction) -> HandlerFunction:
        room = function.__module__.partition(".")[0]
        for event_class in event_classes:
            answers = _handlers.setdefault(room, {}).setdefault(spec_of(event_class).topic, [])
            if any(known.__qualname__ == function.__qualname__ for known in answers):
                raise CatalogError(f"{room} already handles {event_class.__name__} with {function.__qualname__}")
            answers.append(function)
        return function

    return register


def handlers_of(room: str) -> Mapping[str, list[Handler]]:
    """A room's handlers by event type; a room without any reads nothing."""
    bus_settings().room(room)
    return _handlers.get(room, {})
