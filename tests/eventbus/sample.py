"""An event and a handler of a room called `tests`: what the bus's own tests are made with."""

from collections.abc import Callable
from uuid import UUID

from django.db import connection

from eventbus.events import Event, event
from eventbus.handlers import handles, handles_many


@event("sample.counted", version="1.0", key="counter_id", aggregate="counter")
class Counted(Event):
    """A counter reached a number."""

    counter_id: UUID
    number: int
    padding: str = ""


troubles: dict[int, Callable[[], Exception]] = {}  # number: what the handler raises for it


@handles(Counted)
def remember(counted: Counted) -> None:
    """Keep the number, or fail as the test wants."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO sample_effect (event_id, counter_id, number) VALUES (%s, %s, %s)",
            [counted.id, counted.counter_id, counted.number],
        )
    if counted.number in troubles:
        error = troubles[counted.number]()
        raise error


def effects() -> list[tuple[UUID, int]]:
    """Every (counter, number) that took effect, in the order of the effects."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT counter_id, number FROM sample_effect ORDER BY id")
        return list(cursor.fetchall())


def numbers(counter_id: UUID) -> list[int]:
    """The numbers that took effect for one counter, in order."""
    return [number for counter, number in effects() if counter == counter_id]


@event("sample.tallied", version="1.0", key="counter_id", aggregate="counter")
class Tallied(Event):
    """A number to add to a counter's tally."""

    counter_id: UUID
    number: int


tallies: list[list[int]] = []  # the numbers of each call, those that were rolled back too


@handles_many(Tallied)
def tally(events: list[Tallied]) -> None:
    """Keep the numbers with one statement, or fail as the test wants."""
    tallies.append([tallied.number for tallied in events])
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO sample_effect (event_id, counter_id, number)"
            " SELECT * FROM unnest(%s::text[], %s::uuid[], %s::int[])",
            [[getattr(tallied, name) for tallied in events] for name in ("id", "counter_id", "number")],
        )
    for tallied in events:
        if tallied.number in troubles:
            error = troubles[tallied.number]()
            raise error
