"""A replay from the admin: a few rows of the journal to one room, at once."""

from typing import Any

from django import forms

from eventbus.conf import bus_settings
from eventbus.handlers import handlers_of
from eventbus.models import JournalEvent, Replay
from eventbus.pages import ReasonForm
from eventbus.replay.running import begin_replay, choose, run_replay

AT_ONCE = 100_000.0  # a second; the page has at most a few hundred rows


class ReplayForm(ReasonForm):
    """To whom, which handlers once more, and why."""

    room = forms.ChoiceField()
    again = forms.MultipleChoiceField(
        required=False, help_text="Handlers to run again for events that the room has handled."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rooms = list(bus_settings().rooms)
        names = {handler.name: room for room in rooms for each in handlers_of(room).values() for handler in each}
        self.fields["room"].choices = [(room, room) for room in rooms]  # type: ignore[attr-defined]  # a ChoiceField
        self.fields["again"].choices = [  # type: ignore[attr-defined]  # a ChoiceField too
            (name, f"{room}: {name}") for name, room in sorted(names.items(), key=lambda item: (item[1], item[0]))
        ]


def replay_rows(rows: list[JournalEvent], *, room: str, again: list[str], actor: str, reason: str) -> Replay:
    """Replay these rows' events to a room; raises ReplayRefusedError, naming what is wrong, before anything is done."""
    choice, names = choose(
        room,
        again=again,
        topics=sorted({row.topic for row in rows}),
        event_ids=tuple(sorted({row.event_id for row in rows})),
    )
    replay = begin_replay(room=room, choice=choice, again=names, source="journal", actor=actor, reason=reason)
    return run_replay(replay, rate=AT_ONCE)
