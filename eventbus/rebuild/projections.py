"""projection(): which of a room's tables hold nothing but what events have told it, so that they can be built anew."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import models

from eventbus.events import Event, spec_of
from eventbus.exceptions import CatalogError
from eventbus.handlers import Function, Handler, handlers_of

Identity = Callable[[Any], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """Rows that follow things elsewhere: `key` is the column that names the thing, `fed_by` tells it of an event.

    `begins_with` is the first event of a thing's history: while it is in the journal, so is all that came after.
    """

    room: str
    name: str
    tables: tuple[type[models.Model], ...]
    key: str
    fed_by: Mapping[Function, Identity]
    begins_with: type[Event]
    where: Mapping[str, object] = field(default_factory=dict)

    def handlers(self, event_type: str) -> list[Handler]:
        """Its handlers of one event type, in the order in which the room runs them."""
        return [handler for handler in handlers_of(self.room).get(event_type, ()) if handler.function in self.fed_by]

    def event_types(self) -> list[str]:
        """The events that it is made of."""
        return [event_type for event_type in sorted(handlers_of(self.room)) if self.handlers(event_type)]


_projections: dict[tuple[str, str], Projection] = {}


def projection(
    name: str,
    *tables: type[models.Model],
    key: str,
    fed_by: Mapping[Function, str | Identity],
    begins_with: type[Event],
    **where: object,
) -> Projection:
    """Declare a projection beside its handlers; `fed_by` gives each handler's event attribute that holds the key.

    `where` narrows a table that holds several projections. Handlers may do more than write it: when it is rebuilt,
    whatever they did is rolled back.
    """
    rooms = {handler.__module__.partition(".")[0] for handler in fed_by}
    if len(rooms) != 1:
        raise CatalogError(f"the projection {name!r} is fed by {', '.join(sorted(rooms)) or 'no room'}: it needs one")
    [room] = rooms
    if (room, name) in _projections:
        raise CatalogError(f"{room} has two projections called {name!r}")
    declared = Projection(
        room=room,
        name=name,
        tables=tables,
        key=key,
        fed_by={handler: _reader(identity) for handler, identity in fed_by.items()},
        begins_with=begins_with,
        where=where,
    )
    if not declared.handlers(spec_of(begins_with).topic):
        raise CatalogError(
            f"the projection {name!r} begins with {begins_with.__name__}, which none of its handlers has"
        )
    _projections[room, name] = declared
    return declared


def projections() -> Mapping[tuple[str, str], Projection]:
    """Every declared projection by its room and name."""
    return _projections


def _reader(identity: str | Identity) -> Identity:
    if not isinstance(identity, str):
        return identity

    def read(event: Any) -> object:
        return getattr(event, identity)

    return read
