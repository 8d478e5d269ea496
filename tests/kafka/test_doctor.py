"""The doctor finds each trouble, says what to do, and ends with the status that a monitor expects."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from devstack.kafka_builtin import BuiltinBroker
from eventbus import doctor
from eventbus.doctor import Finding, Severity, examine
from eventbus.journal.partitions import existing_days, keep_partitions
from eventbus.kafka.admin import Cluster
from eventbus.models import HeldKey, JournalEvent, OutboxEvent, ParkedEvent, RelayBucket, Replay
from eventbus.outbox import publish
from eventbus.relay import Relay
from tests.admin.rows import parked_event
from tests.eventbus.sample import Counted
from tests.eventbus.test_journal import JOURNAL

HOUR = timedelta(hours=1)


@pytest.fixture
def healthy(builtin: BuiltinBroker, sample_room: None, bus: Any) -> Any:
    """A bus on which nothing is wrong: topics, days of the journal, and every bucket leased."""
    bus.EVENTBUS = {**bus.EVENTBUS, "journal": JOURNAL}
    keep_partitions()
    for bucket in range(16):
        RelayBucket.objects.create(bucket=bucket, owner=uuid4(), expires_at=timezone.now() + HOUR)
    return bus


def found(check: str) -> list[Finding]:
    return [finding for finding in examine() if finding.check == check]


def test_a_healthy_bus_has_no_finding(healthy: Any) -> None:
    out = StringIO()
    call_command("bus_doctor", stdout=out)

    assert examine() == []
    assert out.getvalue() == f"All {len(doctor.CHECKS)} checks are well.\n"


def test_a_broker_that_is_away_is_one_finding_for_each_question(healthy: Any) -> None:
    healthy.EVENTBUS = {**healthy.EVENTBUS, "brokers": ""}

    assert [(f.check, f.severity) for f in examine()] == [(check, "broken") for check in ("settings", "topics", "lag")]
    assert all(f.what.startswith("KAFKA_BROKERS is not set") for f in examine())


@pytest.mark.parametrize(
    ("change", "words", "severity"),
    [
        ({"inbox_retention_days": 30}, "the inbox is kept 30 days, a topic 30: an event read again", "broken"),
        ({"continue_past_dead": ("sample-consumer-group",)}, "goes on past dead letters", "risk"),
        ({"continue_past_dead": ("nobody",)}, "names 'nobody', no group of ours", "risk"),
    ],
)
def test_settings_that_defeat_their_purpose(healthy: Any, change: Any, words: str, severity: str) -> None:
    healthy.EVENTBUS = {**healthy.EVENTBUS, **change}

    [finding] = found("settings")

    assert words in finding.what
    assert finding.severity == severity


def test_a_database_that_may_lose_a_commit(healthy: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")

    assert [f.what for f in found("database")] == ["synchronous_commit is off: a crash can lose committed events"]


def test_tables_that_are_not_cleaned(healthy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE eventbus_outboxevent SET (autovacuum_enabled = false)")
    assert [f.remedy for f in found("autovacuum")] == ["ALTER TABLE eventbus_outboxevent RESET (autovacuum_enabled)"]

    monkeypatch.setattr(doctor, "VACUUM", "SELECT 'a_table', 10, 60000, 2000000000, false")
    assert [f.remedy for f in found("autovacuum")] == [
        "look for long transactions, then VACUUM a_table",
        "VACUUM a_table",
    ]


def test_transactions_that_do_not_end(healthy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LONG_TRANSACTION_SECONDS", -60.0)
    parameters = connection.get_connection_params()
    names = {name: parameters[name] for name in ("dbname", "user", "host", "port", "password") if parameters.get(name)}

    with psycopg.connect(**names, application_name="a forgotten shell") as other:
        other.execute("SELECT 1")
        [finding] = found("transactions")

    assert finding.what.startswith("a forgotten shell (")
    assert "idle in transaction) is in a transaction for " in finding.what


def test_prepared_transactions_that_wait(healthy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PREPARED_TRANSACTIONS", "SELECT 'two-phase', interval '3 hours' WHERE %s > 0")

    [finding] = found("transactions")

    assert finding.what == "the prepared transaction 'two-phase' waits for 180 min: it survives restarts"


def test_clocks_that_differ(healthy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    JournalEvent.objects.create(
        time=timezone.now() + timedelta(seconds=90), topic="t", partition=0, offset=0, key="k", event_id="e",
        correlation_id="c",
    )  # fmt: skip
    [finding] = found("clock")
    assert finding.what.startswith("a message was journaled ")
    JournalEvent.objects.all().delete()
    real = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: real() + timedelta(seconds=60))

    [finding] = found("clock")

    assert finding.what.startswith(("the database's clock and ours are 60.", "the database's clock and ours are 59."))


def test_an_outbox_that_nobody_empties(healthy: Any) -> None:
    with transaction.atomic():
        publish(Counted(counter_id=uuid4(), number=1))
    long_ago = timezone.now() - timedelta(minutes=5)
    OutboxEvent.objects.update(created_at=long_ago)
    RelayBucket.objects.filter(bucket__lt=3).update(owner=None, expires_at=None)
    HeldKey.objects.create(topic="t", key="k", outbox_id=1, reason="too large", held_at=long_ago)

    assert [f.what for f in found("outbox")] == ["the oldest event waits for 5 min"]
    assert [f.what for f in found("leases")] == ["nobody publishes 3 of 16 buckets"]
    assert [f.what for f in found("held keys")] == ["t k is held for 5 min: too large"]
    RelayBucket.objects.all().delete()
    assert [f.what for f in found("leases")] == ["no relay has ever run here"]


def test_what_is_stuck(healthy: Any) -> None:
    group, long_ago = "sample-consumer-group", timezone.now() - 2 * HOUR
    parked_event(group=group, state=ParkedEvent.State.DEAD)
    parked_event(group=group, state=ParkedEvent.State.RETRYING, next_attempt_at=long_ago, parked_at=long_ago)
    parked_event(group=group, state=ParkedEvent.State.RETRYING, next_attempt_at=long_ago)
    replay = Replay.objects.create(
        room="tests", group=group, source="journal", choice={}, state=Replay.State.STOPPED, error="t:0:1 failed"
    )

    assert [f.what for f in found("dead letters")] == [f"{group} has 1"]
    assert [f.what for f in found("parked keys")] == [f"{group} tries 1 keys for more than an hour"]
    assert [f.remedy for f in found("replays")] == [f"replay_events --resume {replay.pk}"]


def test_a_journal_whose_days_nobody_makes(healthy: Any) -> None:
    with connection.cursor() as cursor:
        for name in [f"{day:%Y%m%d}" for day in existing_days()[1:]]:
            cursor.execute(f"DROP TABLE eventbus_journalevent_{name}")

    assert [f.what for f in found("journal")] == ["tomorrow has no partition yet"]


def test_topics_that_differ_from_the_plan(healthy: Any, builtin: BuiltinBroker) -> None:
    healthy.EVENTBUS = {**healthy.EVENTBUS, "topic_prefix": "new."}
    [missing] = [
        finding for finding in found("topics") if finding.what.startswith("new.sample.counted: create with 6 ")
    ]
    assert (missing.severity, missing.remedy) == (Severity.BROKEN, "run sync_topics")

    healthy.EVENTBUS = {**healthy.EVENTBUS, "replication_factor": 3}
    findings = found("topics")

    assert {finding.severity for finding in findings} == {Severity.BROKEN}
    assert findings[-1].what == "1 of the 3 brokers that replication_factor needs are there"


def test_topics_that_are_kept_longer_than_the_inbox(healthy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for kept, words in (("-1", "kept for ever"), (str(60 * 24 * 3600 * 1000), "kept 60 days")):
        monkeypatch.setattr(Cluster, "topic_config", lambda self, name, kept=kept: {"retention.ms": kept})
        assert words in found("retention")[0].what


@pytest.mark.django_db(transaction=True)
def test_a_group_that_is_behind(builtin: BuiltinBroker, sample_room: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LAG", 2)
    with transaction.atomic():
        publish(*(Counted(counter_id=uuid4(), number=1) for _ in range(3)))
    Relay().drain()

    assert [f.what for f in found("lag")] == ["sample-consumer-group is 3 messages behind on sample.counted"]


@pytest.mark.parametrize(("severity", "status"), [(Severity.RISK, 1), (Severity.BROKEN, 2)])
def test_a_monitor_is_told_by_status_and_in_json(
    monkeypatch: pytest.MonkeyPatch, severity: Severity, status: int
) -> None:
    finding = Finding("clock", severity, "it is late", "go to bed")
    monkeypatch.setattr(doctor, "CHECKS", {"clock": lambda: iter([finding])})

    out = StringIO()
    for flags in ([], ["--json"]):
        out.truncate(0)
        out.seek(0)
        with pytest.raises(SystemExit) as ended:
            call_command("bus_doctor", *flags, stdout=out)
        assert ended.value.code == status

    told = {"check": "clock", "severity": severity, "what": "it is late", "remedy": "go to bed"}
    assert json.loads(out.getvalue()) == {"status": status, "findings": [told]}
