"""A replay: what was missed is handled, what was handled is skipped or repeated by name, a crash doubles nothing."""

import re
import threading
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from eventbus.faults import armed
from eventbus.journal.writer import JournalWriter
from eventbus.messages import Message
from eventbus.models import InboxEvent, JournalEvent, OperatorAction, ParkedEvent, Replay
from eventbus.processing import Processor
from eventbus.replay.running import CHUNK, begin_replay, choose, run_replay
from tests.eventbus.conftest import message
from tests.eventbus.sample import Counted, effects, numbers, troubles
from tests.eventbus.test_journal import JOURNAL

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOPIC = Counted.spec.topic


@pytest.fixture
def journal(sample_room: None, bus: Any) -> JournalWriter:
    bus.EVENTBUS = {**bus.EVENTBUS, "journal": JOURNAL}
    return JournalWriter()


def history(length: int, *, counter: UUID | None = None, start: datetime = NOON) -> list[Message]:
    """A counter's messages, a minute apart."""
    counter = counter or uuid4()
    return [
        message(counter, number, timestamp=start + timedelta(minutes=number), headers={"ce_correlationid": "story"})
        for number in range(1, length + 1)
    ]


def output_of(*command: str) -> str:
    out = StringIO()
    call_command("replay_events", "tests", *command, stdout=out)
    return out.getvalue()


def applied(*command: str) -> str:
    return output_of(*command, "--apply", "--reason", "lost by a bug", "--actor", "somebody", "--rate", "100000")


def made(*, again: tuple[str, ...] = (), **bounds: Any) -> Replay:
    choice, names = choose("tests", again=again, **bounds)
    return begin_replay(room="tests", choice=choice, again=names, source="journal", actor="somebody", reason="a test")


def forget_effects() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE sample_effect")


def handle_and_forget(messages: list[Message]) -> None:
    """These were handled before the story begins."""
    Processor("tests").process(messages)
    forget_effects()


def test_nothing_is_done_before_it_is_applied(journal: JournalWriter) -> None:
    messages = history(3)
    journal.process(messages)
    Processor("tests").process(messages[:1])

    shown = output_of("--all")

    assert shown.splitlines() == [
        f"{TOPIC:<32} {2:>8} new {1:>8} handled already",
        "2 events would be handed to tests, 1 would be skipped. Nothing was done; --apply does it.",
    ]
    assert len(effects()) == 1
    assert not Replay.objects.exists()
    assert not OperatorAction.objects.exists()


def test_what_was_missed_is_handled_in_order_and_the_rest_is_skipped(journal: JournalWriter) -> None:
    counter = uuid4()
    messages = history(CHUNK + 20, counter=counter)
    journal.process(messages)
    Processor("tests").process(messages[:5])

    told = applied("--topic", TOPIC)

    assert numbers(counter) == list(range(1, CHUNK + 21))
    assert f"{CHUNK + 15} events handed over, 0 again, 5 skipped." in told
    replay = Replay.objects.get()
    assert (replay.state, replay.group) == (Replay.State.DONE, "sample-consumer-group")
    [action] = OperatorAction.objects.all()
    assert (action.action, action.actor, action.reason) == ("replay", "somebody", "lost by a bug")
    assert action.target == f"replay {replay.pk} to sample-consumer-group: {TOPIC} from the journal"


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (["--since", "2026-03-01T12:02:00"], [2, 3, 4]),
        (["--until", "2026-03-01T13:03:00+01:00"], [1, 2]),
        (["--since", "2026-03-01T12:02:00", "--until", "2026-03-01T12:03:00"], [2]),
        (["--topic", TOPIC], [1, 2, 3, 4]),
    ],
)
def test_times_and_topics_bound_it(journal: JournalWriter, bounds: list[str], expected: list[int]) -> None:
    counter = uuid4()
    messages = history(4, counter=counter)
    journal.process(messages)
    handle_and_forget(messages[: expected[0] - 1])

    applied(*bounds)

    assert numbers(counter) == expected


def test_nothing_is_handed_over_before_what_its_group_has_not_come_to(journal: JournalWriter) -> None:
    """A consumer that lags would handle a key's later events first."""
    counter, other = uuid4(), uuid4()
    messages = history(4, counter=counter)
    journal.process([*history(2, counter=other), *messages])
    Processor("tests").process(messages[:1])
    [last] = JournalEvent.objects.filter(offset=messages[3].offset)

    shown = StringIO()
    call_command("replay_events", "tests", "--event", last.event_id, stdout=StringIO(), stderr=shown)
    reason = f"{messages[1].place} of 2026-03-01T12:02:00+00:00 comes before what was chosen of its key"
    assert reason in shown.getvalue()
    for bounds in (["--since", "2026-03-01T12:03:00"], ["--event", last.event_id]):
        with pytest.raises(CommandError, match=rf"stopped: {re.escape(reason)}.*--resume"):
            applied(*bounds)
    assert numbers(counter) == [1]
    applied("--until", "2026-03-01T12:03:00", "--key", str(counter))
    assert (numbers(counter), numbers(other)) == ([1, 2], [])

    Processor("tests").process(messages[:3])  # the consumer catches up
    for stopped in Replay.objects.filter(state=Replay.State.STOPPED):
        call_command("replay_events", resume=stopped.pk, reason="it has caught up", stdout=StringIO())
    assert numbers(counter) == [1, 2, 3, 4]


def test_what_was_parked_or_forgotten_by_the_inbox_is_not_stepped_over(journal: JournalWriter, bus: Any) -> None:
    counter = uuid4()
    old, *messages = history(4, counter=counter)
    unread = message(key=messages[0].key, value=b"{", timestamp=NOON)
    journal.process([old, unread, *messages])
    JournalEvent.objects.filter(offset=old.offset).update(recorded_at=datetime(2020, 1, 1, tzinfo=UTC))
    troubles[2] = lambda: ValueError("not now")
    Processor("tests").process([unread, messages[0]])

    applied("--since", "2026-03-01T12:03:00")

    states = ParkedEvent.objects.order_by("id").values_list("state", flat=True)
    assert list(states) == ["dead", "queued", "queued", "queued"]


def test_what_waits_parked_is_not_repeated(journal: JournalWriter) -> None:
    """Its handlers have not run yet: run now, and again when its turn comes, they would run twice."""
    counter = uuid4()
    messages = history(3, counter=counter)
    journal.process(messages)
    troubles[2] = lambda: ValueError("not now")
    Processor("tests").process(messages)
    troubles.clear()

    forget_effects()

    told = applied("--all", "--again", "remember")

    assert "0 events handed over, 1 again, 2 skipped." in told
    ParkedEvent.objects.filter(state="retrying").update(next_attempt_at="2020-01-01T00:00Z")
    Processor("tests").retry_due()
    assert numbers(counter) == [1, 2, 3]


def test_a_replay_is_not_resumed_by_a_version_without_its_handler(journal: JournalWriter) -> None:
    """It would call every event skipped, and be done."""
    journal.process(history(1))
    replay = made(again=("remember",))
    Replay.objects.update(again=["what_it_was_called"])

    with pytest.raises(CommandError, match="tests has no handler 'what_it_was_called'; it has remember, tally"):
        call_command("replay_events", resume=replay.pk, reason="it crashed", stdout=StringIO())

    replay.refresh_from_db()
    assert (replay.state, replay.skipped) == (Replay.State.RUNNING, 0)


def test_keys_and_ids_bound_it(journal: JournalWriter) -> None:
    one, other, third = uuid4(), uuid4(), uuid4()
    for counter in (one, other, third):
        journal.process(history(2, counter=counter))
    [event_id] = JournalEvent.objects.filter(key=str(third)).order_by("id").values_list("event_id", flat=True)[:1]

    applied("--key", str(one), "--key", str(other))
    assert [numbers(counter) for counter in (one, other, third)] == [[1, 2], [1, 2], []]

    applied("--event", event_id)
    assert numbers(third) == [1]


def test_a_named_handler_is_run_again_once_for_each_event(journal: JournalWriter) -> None:
    counter = uuid4()
    messages = history(4, counter=counter)
    journal.process([*messages, *(message(key=m.key, value=m.value, timestamp=m.timestamp) for m in messages)])
    Processor("tests").process(messages[:3])
    forget_effects()

    told = applied("--all", "--again", "remember")

    assert numbers(counter) == [1, 2, 3, 4]
    assert "1 events handed over, 3 again, 4 skipped." in told
    assert InboxEvent.objects.filter(group="sample-consumer-group").count() == 4


@pytest.mark.parametrize("again", [(), ("remember",)])
def test_a_crash_in_the_middle_is_resumed_without_doubling(journal: JournalWriter, again: tuple[str, ...]) -> None:
    counter = uuid4()
    messages = history(6, counter=counter)
    journal.process(messages)
    Processor("tests").process(messages[:2])
    forget_effects()
    replay = made(again=again)

    def crash() -> None:
        raise KeyboardInterrupt

    with armed("during_replay", crash), pytest.raises(KeyboardInterrupt):
        run_replay(replay, rate=100_000)
    assert Replay.objects.get().state == Replay.State.RUNNING
    assert Replay.objects.get().position == {"id": 0}

    out = StringIO()
    call_command("replay_events", resume=replay.pk, reason="it crashed", actor="somebody", stdout=out)

    assert numbers(counter) == ([1, 2, 3, 4, 5, 6] if again else [3, 4, 5, 6])
    assert Replay.objects.get().state == Replay.State.DONE
    assert [action.target.rpartition(": ")[2] for action in OperatorAction.objects.order_by("id")][-1] == "resumed"


def test_a_repeated_handler_that_fails_stops_the_replay_at_its_event(journal: JournalWriter) -> None:
    counter = uuid4()
    messages = history(4, counter=counter)
    journal.process(messages)
    Processor("tests").process(messages)
    forget_effects()
    troubles[3] = lambda: ValueError("three is too many")

    with pytest.raises(CommandError, match=rf"stopped: {messages[2].place} .*ValueError: three is too many"):
        applied("--all", "--again", "remember")

    assert numbers(counter) == [1, 2]
    assert not ParkedEvent.objects.exists()
    troubles.clear()
    call_command("replay_events", resume=Replay.objects.get().pk, reason="mended", stdout=StringIO())
    assert numbers(counter) == [1, 2, 3, 4]
    assert Replay.objects.get().error == ""


def test_what_fails_the_first_time_is_parked_as_ever(journal: JournalWriter) -> None:
    counter = uuid4()
    journal.process([*history(3, counter=counter), message(value=b"{", timestamp=NOON)])
    troubles[2] = lambda: ValueError("not now")

    applied("--all")

    states = dict(ParkedEvent.objects.values_list("offset", "state"))
    assert sorted(states.values()) == ["dead", "queued", "retrying"]
    assert numbers(counter) == [1]


@pytest.mark.parametrize("again", [(), ("--again", "remember")])
def test_handlers_that_fail_for_all_stop_it_and_lose_nothing(journal: JournalWriter, again: tuple[str, ...]) -> None:
    journal.process([message(uuid4(), 1, timestamp=NOON) for _ in range(60)])
    troubles[1] = lambda: RuntimeError("broken by a release")

    with pytest.raises(CommandError, match="the handlers of its topic fail for too many keys"):
        applied("--all", *again)

    parked = ParkedEvent.objects.count()
    assert 0 < parked < 60
    assert Replay.objects.get().handled == parked
    troubles.clear()
    call_command("replay_events", resume=Replay.objects.get().pk, reason="mended", stdout=StringIO())
    assert len(effects()) == 60 - parked
    assert InboxEvent.objects.filter(group="sample-consumer-group").count() == 60


def test_it_ends_where_the_journal_ended_when_it_began(journal: JournalWriter) -> None:
    counter = uuid4()
    messages = history(3, counter=counter)
    journal.process(messages[:2])
    replay = made()
    journal.process(messages[2:])

    run_replay(replay, rate=100_000)

    assert numbers(counter) == [1, 2]


def test_it_is_stopped_between_two_chunks_and_goes_on(journal: JournalWriter) -> None:
    counter, stop = uuid4(), threading.Event()
    journal.process(history(CHUNK + 1, counter=counter))
    replay = made()

    def stop_here() -> Exception:
        stop.set()
        return ValueError("stop here")

    troubles[CHUNK] = stop_here

    run_replay(replay, rate=100_000, stop=stop)

    assert (replay.state, replay.error) == (Replay.State.STOPPED, "stopped by hand")
    assert numbers(counter) == list(range(1, CHUNK))
    troubles.clear()
    run_replay(replay, rate=100_000)
    assert (replay.state, replay.handled + replay.skipped) == (Replay.State.DONE, 2 * CHUNK + 1)


def test_it_keeps_to_its_rate(journal: JournalWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.process(history(250))
    waits: list[float] = []
    clock = [1000.0]

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0.0)
            clock[0] += timeout or 0.0
            return False

    monkeypatch.setattr("eventbus.replay.running.time.monotonic", lambda: clock[0])
    run_replay(made(), rate=50, stop=Stop())

    assert waits == pytest.approx([2.0, 2.0, 1.0])


@pytest.mark.django_db(transaction=True)
def test_two_processes_do_not_run_one_replay(journal: JournalWriter) -> None:
    journal.process(history(1))
    replay = made()
    refusals: list[str] = []

    def meanwhile() -> None:
        def other() -> None:
            try:
                run_replay(replay, rate=100_000)
            except Exception as error:
                refusals.append(str(error))
            finally:
                connection.close()

        connection.close()  # as it is when it has become too old
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    with armed("during_replay", meanwhile):
        run_replay(Replay.objects.get(), rate=100_000)

    assert refusals == [f"Replay {replay.pk} is running in another process."]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ([], "Say which events"),
        (["--all", "--apply"], "Say --reason"),
        (["--topic", "payment.completed"], "tests does not read 'payment.completed'; it reads sample.counted"),
        (["--all", "--again", "forget"], "tests has no handler 'forget'; it has remember"),
        (["--since", "yesterday"], "'yesterday' is no time such as"),
        (["--all", "--rate", "0"], "0 events a second"),
        (["--all", "--rate", "fast"], "'fast' is no number"),
        (["--since", "2026-03-02", "--until", "2026-03-01"], "--since must be before --until"),
        (["--all"], "The journal is empty"),
        (["--resume", "7", "--reason", "x"], "name no room and no bound"),
    ],
)
def test_what_cannot_be_done_is_refused_and_named(journal: JournalWriter, command: list[str], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        output_of(*command)
    assert not Replay.objects.exists()


def test_a_replay_that_is_done_or_unknown_is_not_resumed(journal: JournalWriter) -> None:
    journal.process(history(1))
    applied("--all")
    number = Replay.objects.get().pk

    for name, reason in ((number, f"Replay {number} is done: 1 events"), (number + 1, "There is no replay")):
        with pytest.raises(CommandError, match=reason):
            call_command("replay_events", resume=name, reason="again")


def test_a_room_is_needed_and_the_journal_is_none(journal: JournalWriter) -> None:
    with pytest.raises(CommandError, match=r"Name a room: tests\."):
        call_command("replay_events", "--all")
    with pytest.raises(CommandError, match="The journal has no handlers"):
        call_command("replay_events", "journal", "--all")
    with pytest.raises(CommandError, match="There is no room 'nowhere'"):
        call_command("replay_events", "nowhere", "--all")


def test_the_choice_of_a_replay_survives_its_row(journal: JournalWriter) -> None:
    journal.process(history(1))
    replay = made(topics=[TOPIC], since=NOON, keys=("k",), event_ids=("e",))
    replay.refresh_from_db()

    assert replay.choice == {
        "topics": [TOPIC],
        "since": "2026-03-01T12:00:00Z",
        "until": None,
        "keys": ["k"],
        "event_ids": ["e"],
    }
