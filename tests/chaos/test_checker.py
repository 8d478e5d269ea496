"""The judge sees each kind of wrong: else an exact verdict would mean nothing."""

import psycopg
import pytest
from django.db import connection

from tests.chaos import tables
from tests.chaos.checker import Verdict, judge

GROUPS = ["one", "two"]
FIRST, SECOND = tables.COUNTERS[:2]
# Three numbers of the first counter and two of the second, as both groups should handle them, mixed as they may be.
EFFECTS = [
    (group, counter, number)
    for counter, number in [(FIRST, 1), (SECOND, 1), (FIRST, 2), (FIRST, 3), (SECOND, 2)]
    for group in GROUPS
]


@pytest.fixture
def database(db: None) -> psycopg.Connection:
    """The tables of a run in which five events were committed, and nobody has handled any."""
    connection.ensure_connection()
    tables.create(connection.connection)
    for counter, number in ((FIRST, 3), (SECOND, 2)):
        connection.connection.execute("UPDATE chaos_counter SET number = %s WHERE id = %s", [number, counter])
    return connection.connection


def verdict(database: psycopg.Connection, effects: list[tuple]) -> Verdict:
    """What the judge says when these took effect, in this order."""
    database.cursor().executemany('INSERT INTO chaos_effect ("group", counter_id, number) VALUES (%s, %s, %s)', effects)
    return judge(database, GROUPS)


def test_what_took_effect_once_and_in_order_is_exact(database):
    found = verdict(database, EFFECTS)

    assert found == Verdict(lost=0, doubled=0, inverted=0, untrue=0, committed=5)
    assert found.is_exact


def test_one_that_a_single_group_lacks_is_lost(database):
    found = verdict(database, [effect for effect in EFFECTS if effect != ("two", FIRST, 2)])

    assert found == Verdict(lost=1, doubled=0, inverted=0, untrue=0, committed=5)
    assert not found.is_exact


def test_a_group_without_any_effect_has_lost_everything(database):
    found = verdict(database, [effect for effect in EFFECTS if effect[0] == "one"])

    assert found == Verdict(lost=5, doubled=0, inverted=0, untrue=0, committed=5)


def test_one_that_took_effect_again_is_doubled_and_not_inverted(database):
    found = verdict(database, [*EFFECTS, ("one", FIRST, 1)])

    assert found == Verdict(lost=0, doubled=1, inverted=0, untrue=0, committed=5)
    assert not found.is_exact


def test_one_that_came_after_its_follower_is_inverted(database):
    late = ("one", FIRST, 2)
    found = verdict(database, [*(effect for effect in EFFECTS if effect != late), late])

    assert found == Verdict(lost=0, doubled=0, inverted=1, untrue=0, committed=5)
    assert not found.is_exact


def test_one_that_was_rolled_back_and_took_effect_is_untrue(database):
    found = verdict(database, [*EFFECTS, ("one", FIRST, 4)])

    assert found == Verdict(lost=0, doubled=0, inverted=0, untrue=1, committed=5)
    assert not found.is_exact


def test_a_run_in_which_nothing_was_committed_proves_nothing(database):
    database.execute("UPDATE chaos_counter SET number = 0")

    assert not verdict(database, []).is_exact
