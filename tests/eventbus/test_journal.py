"""The journal: every message once, on the day that is its own, for as long as it is kept."""

import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.utils import timezone

from eventbus.conf import bus_settings
from eventbus.exceptions import DecodeError
from eventbus.faults import armed
from eventbus.journal import partitions
from eventbus.journal.writer import JournalWriter
from eventbus.models import InboxEvent, JournalEvent, ParkedEvent
from eventbus.processing import Processor
from eventbus.replay.running import choose
from eventbus.replay.sources import Journal
from eventbus.tasks import keep_journal_partitions
from tests.eventbus.conftest import message
from tests.eventbus.sample import Counted
from tests.races import at_once

JOURNAL = {"client_id": "journal-service", "group_id": "journal-consumer-group"}


@pytest.fixture
def writer(bus: Any, db: None) -> JournalWriter:
    bus.EVENTBUS = {**bus.EVENTBUS, "journal": JOURNAL, "journal_retention_days": 30}
    with connection.cursor() as cursor:
        for day in partitions.existing_days():  # made by tests that commit
            cursor.execute(f"DROP TABLE {partitions.TABLE}_{day:%Y%m%d}")
    return JournalWriter()


def at(**ago: float) -> datetime:
    """A time so long ago, to the millisecond, as Kafka keeps it."""
    return (timezone.now() - timedelta(**ago)).replace(microsecond=0)


def journaled() -> list[tuple[int, datetime]]:
    return list(JournalEvent.objects.order_by("offset").values_list("offset", "time"))


def partition_of(row: JournalEvent) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM eventbus_journalevent WHERE id = %s", [row.pk])
        return str(cursor.fetchone()[0])


def test_a_message_is_copied_with_all_that_came_with_it(writer: JournalWriter) -> None:
    headers = {"ce_correlationid": "story", "ce_causationid": "cause", "ce_actor": "somebody"}
    sent = message(headers=headers, timestamp=at(minutes=1), partition=3)

    writer.process([sent])

    row = JournalEvent.objects.get()
    assert (row.topic, row.partition, row.offset, row.time) == (sent.topic, 3, sent.offset, sent.timestamp)
    assert (row.key.encode(), bytes(row.payload), row.headers) == (sent.key, sent.value, headers)
    assert (row.correlation_id, row.causation_id) == ("story", "cause")
    assert row.event_id == Counted.spec.decode(sent.value, fallback_id="").id
    assert partition_of(row) == f"eventbus_journalevent_{sent.timestamp:%Y%m%d}"


def test_what_is_delivered_twice_is_copied_once_in_one_batch_or_in_two(writer: JournalWriter) -> None:
    first, second = message(timestamp=at(minutes=2)), message(timestamp=at(minutes=1))

    writer.process([first, second, first])
    JournalWriter().process([second])

    assert journaled() == [(first.offset, first.timestamp), (second.offset, second.timestamp)]


def test_a_topic_that_was_deleted_and_made_anew_has_both_its_lives(writer: JournalWriter) -> None:
    before, after = (message(offset=0, timestamp=at(minutes=minutes)) for minutes in (9, 1))

    writer.process([before])
    writer.process([after])

    assert [row.time for row in JournalEvent.objects.order_by("id")] == [before.timestamp, after.timestamp]


@pytest.mark.parametrize(
    ("value", "key"), [(b"\xff not json", b"\xff\x00"), (None, None), (b"", b""), (b"{}", b"k" * 9000)]
)
def test_what_nobody_can_read_is_copied_too(writer: JournalWriter, value: bytes | None, key: bytes | None) -> None:
    unreadable = message(value=value, key=key, timestamp=at(seconds=1))

    writer.process([unreadable])

    row = JournalEvent.objects.get()
    assert (row.payload if value is None else bytes(row.payload)) == value
    assert row.event_id == row.place == unreadable.place
    assert not InboxEvent.objects.exists()
    assert not ParkedEvent.objects.exists()


def test_an_id_that_no_text_column_holds_is_unreadable(writer: JournalWriter) -> None:
    readable = Counted(id="a-b", counter_id=uuid4(), number=1).encode()
    strange = message(value=readable.replace(b"a-b", b"a\\u0000b"), timestamp=at(seconds=1))

    writer.process([strange])
    Processor("tests").process([strange])

    assert JournalEvent.objects.get().event_id == ParkedEvent.objects.dead().get().event_id == strange.place
    with pytest.raises(DecodeError, match="the id holds a NUL"):
        Counted.spec.decode(strange.value, fallback_id="")


@pytest.mark.parametrize("ago", [{"days": 400}, {"days": -50}, {"days": 365 * 60}])
def test_a_wrong_clock_is_no_reason_to_lose_a_message(writer: JournalWriter, ago: dict[str, float]) -> None:
    strange = message(timestamp=at(**ago))

    writer.process([strange])
    JournalWriter().process([strange])

    row = JournalEvent.objects.get()
    assert row.time == strange.timestamp
    assert partition_of(row) == partitions.DEFAULT


def test_a_message_without_a_time_is_copied_once(writer: JournalWriter) -> None:
    undated = message()

    writer.process([undated])
    writer.process([undated])

    assert journaled() == [(undated.offset, datetime(1970, 1, 1, tzinfo=UTC))]


def test_days_that_nobody_made_are_made_by_the_writer(writer: JournalWriter) -> None:
    assert partitions.existing_days() == []

    writer.process([message(timestamp=at(days=days)) for days in (0, 29, 2)])

    assert partitions.existing_days() == sorted(at(days=days).astimezone(UTC).date() for days in (0, 29, 2))
    assert JournalEvent.objects.count() == 3


def test_a_day_takes_over_what_came_before_it_was_made(writer: JournalWriter) -> None:
    early = message(timestamp=at(days=-10))
    writer.process([early])
    day = early.timestamp.astimezone(UTC).date()

    assert partitions.make_day(day)
    assert not partitions.make_day(day)

    writer.process([early])
    assert partition_of(JournalEvent.objects.get()) == f"eventbus_journalevent_{day:%Y%m%d}"


def test_the_clock_work_makes_coming_days_and_drops_those_that_are_over(writer: JournalWriter, bus: Any) -> None:
    writer.process([message(timestamp=at(days=days)) for days in (0, 1, 30)])
    bus.EVENTBUS = {**bus.EVENTBUS, "journal_retention_days": 1}

    assert keep_journal_partitions() == (partitions.DAYS_AHEAD, 1)

    today = partitions.today()
    assert partitions.existing_days() == [today + timedelta(days=days) for days in range(-1, partitions.DAYS_AHEAD + 1)]
    assert JournalEvent.objects.count() == 2
    assert keep_journal_partitions() == (0, 0)


def test_what_has_no_day_of_its_own_is_kept_as_long_as_the_rest(writer: JournalWriter) -> None:
    writer.process([message(timestamp=at(days=400)), message(timestamp=at(days=500))])
    old = JournalEvent.objects.earliest("id")
    JournalEvent.objects.filter(pk=old.pk).update(recorded_at=timezone.now() - timedelta(days=31))

    keep_journal_partitions()

    assert JournalEvent.objects.exclude(pk=old.pk).get() == JournalEvent.objects.get()


def test_a_crash_before_the_commit_leaves_nothing_and_the_next_delivery_all(writer: JournalWriter) -> None:
    def crash() -> None:
        raise KeyboardInterrupt

    sent = [message(timestamp=at(seconds=1)) for _ in range(3)]
    with armed("before_commit", crash), pytest.raises(KeyboardInterrupt), transaction.atomic():
        writer.process(sent)
    assert not JournalEvent.objects.exists()

    writer.process(sent)

    assert JournalEvent.objects.count() == 3


def test_a_batch_costs_one_statement_whatever_its_size(writer: JournalWriter, django_assert_num_queries: Any) -> None:
    writer.process([message(timestamp=at(seconds=1))])

    for size in (1, 200):
        with django_assert_num_queries(3):  # the statement between its savepoint and the savepoint's release
            writer.process([message(uuid4(), timestamp=at(seconds=1)) for _ in range(size)])


def test_a_journal_that_is_off_is_not_read_for(bus: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match="EVENTBUS_JOURNAL=true switches it on"):
        bus_settings().room("journal")
    assert keep_journal_partitions() == (0, 0)


def test_a_clock_of_ours_that_jumps_drops_no_day(writer: JournalWriter) -> None:
    writer.process([message(timestamp=at(minutes=1))])

    with time_machine.travel(timezone.now() + timedelta(days=100)):
        keep_journal_partitions()

    assert JournalEvent.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_consumers_that_meet_a_new_day_both_find_a_place(bus: Any) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "journal": JOURNAL}
    sent = [message(timestamp=at(days=9), partition=number % 2) for number in range(20)]
    batches = [sent[::2], sent[1::2], sent[::2]]

    answers = at_once(*(partial(JournalWriter().process, batch) for batch in batches))

    assert answers == [[], [], []]
    assert sorted(row.offset for row in JournalEvent.objects.all()) == [each.offset for each in sent]
    assert len({partition_of(row) for row in JournalEvent.objects.all()}) == 1


@pytest.mark.django_db(transaction=True)
def test_a_replay_ends_behind_the_writers_of_the_moment(bus: Any) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "journal": JOURNAL}
    JournalWriter().process([message(timestamp=at(minutes=3))])
    is_written = threading.Event()
    late = message(timestamp=at(minutes=2))

    def slow_writer() -> None:
        """Draws its id first, and commits when the replay waits for it, or after five seconds in which none did."""
        with transaction.atomic():
            JournalWriter().process([late])
            is_written.set()
            deadline = time.monotonic() + 5
            while not is_waited_for() and time.monotonic() < deadline:
                time.sleep(0.02)

    def another_writer_and_a_replay() -> list[int]:
        assert is_written.wait(60)
        JournalWriter().process([message(timestamp=at(minutes=1))])
        choice, _ = choose("tests")
        pages = Journal().pages(choice, *Journal().span(choice, group="sample-consumer-group"))
        return [delivery.message.offset for deliveries, _ in pages for delivery in deliveries]

    [found] = [answer for answer in at_once(slow_writer, another_writer_and_a_replay) if answer is not None]

    assert isinstance(found, list)
    assert len(found) == 3
    assert late.offset in found


def is_waited_for() -> bool:
    """Whether somebody waits for a lock on the journal."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass", [partitions.TABLE]
        )
        return cursor.fetchone() != (0,)
