"""Reading topics from outside: following them, and replaying them, on every broker; no group ever notices."""

from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from eventbus.consumer import Consumer
from eventbus.kafka import admin
from eventbus.kafka.admin import Cluster
from eventbus.kafka.reading import bounds, read_between
from eventbus.models import Replay
from eventbus.outbox import publish, topic_of
from eventbus.relay import Relay
from eventbus.replay import sources
from eventbus.topics import sync_topics
from tests.eventbus.sample import Counted, effects, numbers

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sample_room")]


@pytest.fixture
def topic(broker: str) -> str:
    if broker == "apache":
        sync_topics(Cluster(), apply=True)
    return topic_of(Counted.spec)


def send(length: int, *, counters: int = 1) -> list[Any]:
    """So many events of so many counters, on the topic."""
    ids = [uuid4() for _ in range(counters)]
    for number in range(1, length + 1):
        with transaction.atomic():
            publish(*(Counted(counter_id=counter, number=number, sequence=number) for counter in ids))
    Relay().drain()
    return ids


def tailed(*command: str) -> list[str]:
    out = StringIO()
    call_command("tail_topic", *command, stdout=out)
    return out.getvalue().splitlines()


def test_everything_between_two_offsets_is_read_in_order_and_no_more(topic: str) -> None:
    counters = send(20, counters=5)
    start, end = bounds([topic], since=None)
    send(3)

    read = [message for page in read_between(start, end) for message in page]

    assert len(read) == 100
    for counter in counters:
        mine = [message for message in read if message.key == str(counter).encode()]
        assert [message.offset for message in mine] == sorted(message.offset for message in mine)
        assert len(mine) == 20
    assert list(read_between(end, end)) == []


def test_a_time_to_begin_at_leaves_nothing_out(topic: str) -> None:
    send(3)

    start, _ = bounds([topic], since=timezone.now() - timedelta(hours=1))

    assert set(start.values()) == {0}


def test_following_shows_what_and_where_but_no_payload(topic: str) -> None:
    [counter] = send(3)

    lines = tailed(topic, "--from-beginning", "--limit", "3")

    assert [line.split()[0].rpartition(":")[2] for line in lines] == ["0", "1", "2"]
    assert all(str(counter) in line and "number" not in line for line in lines)
    assert '"number":1' in tailed(topic, "--from-beginning", "--limit", "1", "--payload")[1]


def test_following_begins_at_the_last_messages_and_finds_a_key(topic: str) -> None:
    first, second = send(4, counters=2)

    assert [str(second) in line for line in tailed(topic, "--last", "1", "--key", str(second), "--limit", "1")] == [
        True
    ]
    lines = tailed("--from-beginning", "--type", "sample.counted", "--key", str(first), "--limit", "4")
    assert len(lines) == 4
    assert all(str(first) in line for line in lines)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["no.such.topic"], "The broker has no topic 'no.such.topic'; it has "),
        (["--type", "no.such.event"], "There is no event 'no.such.event'"),
        (["--last", "0"], "'0' is no number of messages"),
        (["--last", "5", "--from-beginning"], "not allowed with argument"),
    ],
)
def test_what_cannot_be_followed_is_named(topic: str, command: list[str], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        tailed(*command)


def test_following_disturbs_nobody(topic: str) -> None:
    send(3)
    tailed(topic, "--from-beginning", "--limit", "3")

    assert Consumer("tests").drain() == 3


def test_what_kafka_still_holds_is_replayed_from_it_in_order_and_resumed(topic: str, bus: Any) -> None:
    counters = send(30, counters=4)
    command = ["replay_events", "tests", "--from", "kafka", "--topic", "sample.counted", "--rate", "100000"]
    shown = StringIO()
    call_command(*command, stdout=shown)
    assert "120 events would be handed to tests, 0 would be skipped." in shown.getvalue()
    assert effects() == []

    call_command(*command, "--apply", "--reason", "the group lost its offsets", stdout=StringIO())

    assert [numbers(counter) for counter in counters] == [list(range(1, 31))] * 4
    replay = Replay.objects.get()
    assert (replay.state, replay.handled, replay.position) == (Replay.State.DONE, 120, replay.end)
    replay.position = dict.fromkeys(replay.position, 0)
    replay.state = Replay.State.RUNNING
    replay.save(update_fields=["position", "state"])

    call_command("replay_events", "--resume", str(replay.pk), "--reason", "it was killed", stdout=StringIO())

    assert len(effects()) == 120
    replay.refresh_from_db()
    assert (replay.state, replay.skipped) == (Replay.State.DONE, 120)


def test_what_the_group_has_not_come_to_is_left_to_its_consumers(
    topic: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    [counter] = send(3, counters=1)
    [*_, last] = [message for page in read_between(*bounds([topic], since=None)) for message in page]

    def bounds_of_a_broker_that_searches_by_time(topics: list[str], *, since: Any) -> Any:
        start, end = bounds(topics, since=None)
        return ({place: end[place] - 1 if end[place] else 0 for place in start} if since else start), end

    monkeypatch.setattr(sources, "bounds", bounds_of_a_broker_that_searches_by_time)
    command = ["replay_events", "tests", "--from", "kafka", "--apply", "--reason", "it seemed lost", "--rate", "100000"]

    call_command(*command, "--event", last.headers["ce_id"], stdout=StringIO())
    call_command(*command, "--since", "2026-03-01T12:00", stdout=StringIO())

    assert effects() == []
    left = [line.getMessage() for line in caplog.records if line.name == sources.__name__]
    assert left == [
        f"{count} messages are left to the consumers of sample-consumer-group, which have not come to them"
        for count in (3, 1)
    ]
    assert Consumer("tests").drain() == 3
    assert numbers(counter) == [1, 2, 3]


def test_a_replay_from_a_broker_that_is_away_says_so(bus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "TIMEOUT_SECONDS", 0.5)  # nobody will come to that address, however long one waits
    bus.EVENTBUS = {**bus.EVENTBUS, "brokers": "127.0.0.1:1"}

    with pytest.raises(CommandError, match="Kafka does not answer"):
        call_command("replay_events", "tests", "--from", "kafka", "--all")
    assert not Replay.objects.exists()
