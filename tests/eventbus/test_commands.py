"""The commands say what is wrong, and end with the status that a shell expects."""

import json
import signal
from io import StringIO
from typing import Any, ClassVar

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command

from eventbus.conf import bus_settings
from eventbus.exceptions import CatalogError
from eventbus.handlers import handles
from eventbus.kafka import admin
from eventbus.management.commands import run_consumers
from eventbus.supervisor import Supervisor
from tests.eventbus.sample import Counted, remember


def output_of(*command: str) -> str:
    out = StringIO()
    call_command(*command, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("command", [["relay_outbox", "--once"], ["run_consumers"], ["run_consumers", "payments"]])
def test_without_brokers_nothing_starts_and_the_variable_is_named(settings: Any, command: list[str]) -> None:
    settings.EVENTBUS = {**settings.EVENTBUS, "brokers": ""}
    with pytest.raises(CommandError, match="KAFKA_BROKERS is not set"):
        output_of(*command)


def test_an_unknown_room_is_refused_with_the_rooms_there_are(settings: Any) -> None:
    settings.EVENTBUS = {**settings.EVENTBUS, "brokers": "127.0.0.1:1"}
    with pytest.raises(CommandError, match="no room 'payment'; the rooms are content, media, payments, subscriptions"):
        output_of("run_consumers", "payment")


def test_a_journal_that_is_off_cannot_be_run_and_the_variable_is_named(settings: Any) -> None:
    settings.EVENTBUS = {**settings.EVENTBUS, "brokers": "127.0.0.1:1"}
    with pytest.raises(CommandError, match="EVENTBUS_JOURNAL=true switches it on"):
        output_of("run_consumers", "journal")


def test_without_names_every_room_is_run_and_the_journal_when_it_is_on(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(Supervisor, "__init__", lambda self, commands: started.append(sorted(commands)))
    monkeypatch.setattr(Supervisor, "run", lambda self: None)
    rooms = ["content", "media", "payments", "subscriptions"]
    for journal in (None, {"client_id": "journal-service", "group_id": "journal-consumer-group"}):
        settings.EVENTBUS = {**settings.EVENTBUS, "brokers": "127.0.0.1:1", "journal": journal, "http_port": 9000}
        output_of("run_consumers")

    assert started == [rooms, sorted([*rooms, "journal"])]
    assert bus_settings().http_port_of("journal") == 9005


def test_the_plan_names_every_topic_with_its_partitions(settings: Any) -> None:
    settings.EVENTBUS = {**settings.EVENTBUS, "partitions": 3, "topic_prefix": "x."}

    lines = output_of("sync_topics", "--plan").splitlines()

    assert (
        "x.payment.completed 3 partitions, 1 replicas,"
        " cleanup.policy=delete min.insync.replicas=1 retention.ms=2592000000" in lines
    )
    assert lines == sorted(lines)


@pytest.mark.django_db
def test_status_without_a_broker_tells_the_rest_and_why(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "TIMEOUT_SECONDS", 0.5)  # nobody will come to that address, however long one waits
    settings.EVENTBUS = {**settings.EVENTBUS, "brokers": "127.0.0.1:1"}

    status = json.loads(output_of("bus_status", "--json"))

    assert status["outbox"] == {"waiting": 0, "oldest_age_seconds": None}
    assert status["lag"] == []
    assert "Kafka does not answer" in status["kafka"]
    assert "Kafka does not answer" in output_of("bus_status")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bukets": 4}, "nobody reads: bukets"),
        ({"group_protocol": "new"}, "must be 'consumer' or 'classic'"),
        ({"buckets": 0}, "must be at least 1"),
        ({"parked_limit": 0}, "must be at least 1"),
        ({"consumer_hold_seconds": 0}, "'consumer_hold_seconds'.*above 0"),
        ({"relay_batch_min": 9000}, "larger than relay_batch_max"),
        ({"rooms": {}}, "names no room"),
        ({"min_insync_replicas": 2}, "MIN_INSYNC_REPLICAS is 2, but KAFKA_REPLICATION_FACTOR is 1: no event would"),
        ({"rooms": {"journal": {"client_id": "j", "group_id": "j"}}}, "may name no room 'journal'"),
        ({"journal_retention_days": 0}, "must be at least 1"),
    ],
)
def test_wrong_settings_are_refused_and_named(settings: Any, change: dict[str, Any], reason: str) -> None:
    settings.EVENTBUS = {**settings.EVENTBUS, **change}
    with pytest.raises(ImproperlyConfigured, match=reason):
        bus_settings()


def test_one_function_answers_an_event_once() -> None:
    with pytest.raises(CatalogError, match="already handles Counted with remember"):
        handles(Counted)(remember)


def test_a_supervisor_reports_the_worst_of_its_children() -> None:
    supervisor = Supervisor({"good": ["true"], "bad": ["sh", "-c", "exit 3"]})

    assert supervisor.run_once() == 3


def test_workers_are_processes_with_names_and_ports_of_their_own(settings: Any, monkeypatch: Any) -> None:
    settings.EVENTBUS = {**settings.EVENTBUS, "brokers": "127.0.0.1:1", "http_port": 9100}
    monkeypatch.setattr(run_consumers, "Supervisor", Idle)
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    output_of("run_consumers", "content", "media", "--workers", "3")

    commands = Idle.commands
    assert [command[-2:] for command in commands.values()] == [
        *(["run_consumers", "content"], ["run_consumers", "media"]),
        *(["--worker=1", "content"], ["--worker=1", "media"]),
        *(["--worker=2", "content"], ["--worker=2", "media"]),
    ]
    assert list(commands) == ["content", "media", "content 2", "media 2", "content 3", "media 3"]
    rooms, workers = bus_settings().rooms, range(3)
    ports = [bus_settings().http_port_of(room, worker=worker) for worker in workers for room in rooms]
    assert ports == list(range(9101, 9113))


class Idle:
    """A supervisor that starts nothing."""

    commands: ClassVar[dict[str, list[str]]]

    def __init__(self, commands: dict[str, list[str]]) -> None:
        Idle.commands = commands

    def stop(self, *_: object) -> None:
        """At once."""

    def run(self) -> None:
        """Return."""


@pytest.mark.parametrize(
    ("flags", "reason"),
    [(["--workers", "0"], "must be at least 1"), (["--workers", "2", "--once"], "with one process a room")],
)
def test_a_number_of_workers_that_makes_no_sense_is_refused(settings: Any, flags: list[str], reason: str) -> None:
    settings.EVENTBUS = {**settings.EVENTBUS, "brokers": "127.0.0.1:1"}
    with pytest.raises(CommandError, match=reason):
        output_of("run_consumers", *flags)


def test_more_workers_than_partitions_are_told_to_be_idle(settings: Any, monkeypatch: Any) -> None:
    settings.EVENTBUS = {**settings.EVENTBUS, "brokers": "127.0.0.1:1", "partitions": 2}
    monkeypatch.setattr(run_consumers, "Supervisor", Idle)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    errors = StringIO()

    call_command("run_consumers", "content", "--workers", "5", stderr=errors)

    assert "Of 5 workers a room 3 will have nothing to read" in errors.getvalue()
