"""The judge sees each kind of wrong: else an exact verdict would mean nothing."""

import json

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

# And as the journal should hold them: the first counter's on one partition, with a repetition that the relay may make.
MESSAGES = [
    (FIRST, 0, 10, 1),
    (FIRST, 0, 11, 2),
    (FIRST, 0, 12, 1),
    (FIRST, 0, 13, 3),
    (SECOND, 1, 7, 1),
    (SECOND, 1, 9, 2),
]


@pytest.fixture
def database(db: None) -> psycopg.Connection:
    """The tables of a run in which five events were committed, and nobody has handled any."""
    connection.ensure_connection()
    tables.create(connection.connection)
    for counter, number in ((FIRST, 3), (SECOND, 2)):
        connection.connection.execute("UPDATE chaos_counter SET number = %s WHERE id = %s", [number, counter])
    return connection.connection


def verdict(database: psycopg.Connection, effects: list[tuple], messages: list[tuple] = MESSAGES) -> Verdict:
    """What the judge says when these took effect, in this order, and these messages were journaled, in any."""
    database.cursor().executemany(
        "INSERT INTO eventbus_journalevent"
        ' (topic, key, event_id, correlation_id, causation_id, headers, time, "offset", partition, payload)'
        " VALUES ('chaos.counted', %s, gen_random_uuid(), '', '', '{}', now(), %s, %s, %s)",
        [
            (counter, offset, partition, json.dumps({"counterId": str(counter), "number": number}).encode())
            for counter, partition, offset, number in reversed(messages)
        ],
    )
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

    found = verdict(database, [], [])

    assert found == Verdict(lost=0, doubled=0, inverted=0, untrue=0, committed=0)
    assert not found.is_exact


def test_one_that_the_journal_lacks_is_lost(database):
    found = verdict(database, EFFECTS, [message for message in MESSAGES if message != (FIRST, 0, 13, 3)])

    assert found == Verdict(lost=1, doubled=0, inverted=0, untrue=0, committed=5)


def test_one_that_was_first_written_after_its_follower_is_inverted_though_every_group_has_them_in_order(database):
    found = verdict(database, EFFECTS, [*MESSAGES[3:], (FIRST, 0, 11, 1), (FIRST, 0, 14, 2)])

    assert found == Verdict(lost=0, doubled=0, inverted=1, untrue=0, committed=5)
