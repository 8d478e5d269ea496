"""What the catalog is about: each event of the platform, and which rooms answer it with what."""

from dataclasses import dataclass

from eventbus.conf import bus_settings
from eventbus.events import EventSpec, registered
from eventbus.handlers import handlers_of


@dataclass(frozen=True, slots=True)
class Answer:
    """One handler: whose, and what it does, in its own words."""

    room: str
    does: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One event and those who answer it."""

    spec: EventSpec
    answers: tuple[Answer, ...] = ()

    @property
    def producer(self) -> str:
        """The room that tells it."""
        return self.spec.source.removeprefix("/")

    @property
    def consumers(self) -> list[str]:
        """The rooms that answer it, each once."""
        return list(dict.fromkeys(answer.room for answer in self.answers))


def platform_entries() -> list[Entry]:
    """Every event of a room in EVENTBUS['rooms'], by topic."""
    rooms = bus_settings().rooms
    specs = [spec for _, spec in sorted(registered().items()) if spec.source.removeprefix("/") in rooms]
    return [
        Entry(
            spec=spec,
            answers=tuple(
                Answer(room=room, does=" ".join((handler.function.__doc__ or "").split()))
                for room in rooms
                for handler in handlers_of(room).get(spec.topic, ())
            ),
        )
        for spec in specs
    ]
