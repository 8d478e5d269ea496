"""What a careful operator would look at before anything breaks: each finding says what to do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError, connection
from django.db.models import Min
from django.utils import timezone

from eventbus.conf import bus_settings
from eventbus.database import database_time
from eventbus.events import registered
from eventbus.exceptions import TransportError
from eventbus.journal.partitions import existing_days, today
from eventbus.kafka.admin import Cluster
from eventbus.kafka.connection import check_connection_settings
from eventbus.models import HeldKey, JournalEvent, OutboxEvent, ParkedEvent, RelayBucket, Replay
from eventbus.topics import sync_topics, topics_of

LONG_TRANSACTION_SECONDS = 300.0
OLDEST_WAITING = timedelta(seconds=30)
CLOCK_SECONDS = 1.0
LOOK_BACK = 1000  # messages of the journal whose times are compared
DEAD_ROWS = 50_000  # and more dead than living: autovacuum does not keep up
LAG = 10_000
FROZEN_AGE = 1_000_000_000  # half of the transaction ids: PostgreSQL begins to warn at about twice that
TWICE = "an event read again after that takes effect a second time"
DAY_MS = 24 * 3600 * 1000

VACUUM = """
SELECT s.relname, s.n_live_tup, s.n_dead_tup, age(c.relfrozenxid), 'autovacuum_enabled=false' = ANY(c.reloptions)
  FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
 WHERE c.relkind = 'r' AND s.relname LIKE 'eventbus\\_%%' ORDER BY s.relname
"""
LONG = """
SELECT pid, usename, coalesce(nullif(application_name, ''), 'unnamed'), state, now() - xact_start
  FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
   AND xact_start < now() - %s * interval '1 second'
 ORDER BY xact_start
"""
PREPARED_TRANSACTIONS = """
SELECT gid, now() - prepared FROM pg_prepared_xacts
 WHERE database = current_database() AND prepared < now() - %s * interval '1 second'
"""
SETTINGS = ("synchronous_commit", "fsync", "full_page_writes", "autovacuum")


class Severity(StrEnum):
    """How soon a person is needed."""

    BROKEN = "broken"  # something is lost, stands still, or will
    RISK = "risk"  # it works, and will not in a case that comes


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, and what to do about it."""

    check: str
    severity: Severity
    what: str
    remedy: str


Check = Callable[[], Iterator[Finding]]


def examine() -> list[Finding]:
    """Every finding, in the order of the checks; one that cannot be made is a finding itself."""
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        try:
            findings += check()
        except (ImproperlyConfigured, TransportError) as error:
            findings.append(
                Finding(name, Severity.BROKEN, str(error), "bring Kafka within reach, or correct the KAFKA_ variables")
            )
        except (OperationalError, InterfaceError) as error:
            reason = str(error).strip().partition("\n")[0]
            findings.append(Finding(name, Severity.BROKEN, reason, "bring the database within reach: DATABASE_URL"))
    return findings


def settings_fit() -> Iterator[Finding]:
    """Settings of ours that cannot do what they are for."""
    settings, check = bus_settings(), "settings"
    check_connection_settings()
    longest = max(spec.retention_days for spec in registered().values())
    if settings.inbox_retention_days <= longest:
        yield Finding(
            check,
            Severity.BROKEN,
            f"the inbox is kept {settings.inbox_retention_days} days, a topic {longest}: {TWICE}",
            "raise inbox_retention_days above every event's retention_days",
        )
    for group in settings.continue_past_dead:
        if group not in {room.group_id for room in settings.rooms.values()}:
            yield Finding(
                check, Severity.RISK, f"continue_past_dead names {group!r}, no group of ours", "correct the name"
            )
        else:
            yield Finding(
                check,
                Severity.RISK,
                f"{group} goes on past dead letters: the order of their keys is broken",
                "take it out of continue_past_dead when the dead letters are settled",
            )


def database_settings_fit() -> Iterator[Finding]:
    """Settings of PostgreSQL under which a committed event can be lost, or the outbox never cleaned."""
    with connection.cursor() as cursor:
        for name in SETTINGS:
            cursor.execute("SELECT current_setting(%s)", [name])
            if cursor.fetchone() == ("off",):
                is_ours = name == "autovacuum"
                what = "deleted events are never cleaned away" if is_ours else "a crash can lose committed events"
                yield Finding("database", Severity.BROKEN, f"{name} is off: {what}", f"set {name} = on")


def topics_are_as_planned() -> Iterator[Finding]:
    """Differences between the plan and the cluster, and retentions longer than the inbox's."""
    cluster = Cluster()
    for change in sync_topics(cluster, apply=False):
        yield Finding(
            "topics",
            Severity.BROKEN if change.what.startswith(("create", "cannot be created")) else Severity.RISK,
            f"{change.topic}: {change.what}",
            "a person must decide" if change.refused else "run sync_topics",
        )
    yield from _kept_longer_than_the_inbox(cluster)
    nodes, wanted = cluster.node_count(), bus_settings().replication_factor
    if nodes < wanted:
        yield Finding(
            "topics",
            Severity.BROKEN,
            f"{nodes} of the {wanted} brokers that replication_factor needs are there",
            "start the brokers, or lower KAFKA_REPLICATION_FACTOR",
        )
    elif wanted > 1 and bus_settings().min_insync_replicas < 2:  # noqa: PLR2004 - the leader and one more
        yield Finding(
            "topics",
            Severity.RISK,
            "an event is acknowledged when one broker has it: that broker's disk can lose it",
            "set KAFKA_MIN_INSYNC_REPLICAS=2 and run sync_topics",
        )


def _kept_longer_than_the_inbox(cluster: Cluster) -> Iterator[Finding]:
    days = bus_settings().inbox_retention_days
    existing = cluster.partitions()
    for topic in sorted(set(map(str, existing)) & {name for room in bus_settings().rooms for name in topics_of(room)}):
        kept = int(cluster.topic_config(topic).get("retention.ms", 0))
        if kept == -1 or kept >= days * DAY_MS:
            yield Finding(
                "retention",
                Severity.BROKEN,
                f"{topic} is kept {'for ever' if kept == -1 else f'{kept / DAY_MS:g} days'}, the inbox {days}: {TWICE}",
                "run sync_topics, or raise inbox_retention_days",
            )


def tables_are_cleaned() -> Iterator[Finding]:
    """Tables of the bus that autovacuum does not keep up with."""
    with connection.cursor() as cursor:
        cursor.execute(VACUUM)
        rows = cursor.fetchall()
    for table, living, dead, age, is_off in rows:
        if is_off:
            yield Finding(
                "autovacuum",
                Severity.BROKEN,
                f"autovacuum is off for {table}",
                f"ALTER TABLE {table} RESET (autovacuum_enabled)",
            )
        if dead > DEAD_ROWS and dead > living:
            yield Finding(
                "autovacuum",
                Severity.RISK,
                f"{table} has {dead} dead rows for {living} living ones: fetching slows down",
                f"look for long transactions, then VACUUM {table}",
            )
        if age > FROZEN_AGE:
            yield Finding(
                "autovacuum", Severity.BROKEN, f"{table} was not frozen for {age} transactions", f"VACUUM {table}"
            )


def transactions_end() -> Iterator[Finding]:
    """Transactions that keep deleted rows from being cleaned, and committed ones from being seen in order."""
    with connection.cursor() as cursor:
        cursor.execute(LONG, [LONG_TRANSACTION_SECONDS])
        for pid, user, name, state, age in cursor.fetchall():
            yield Finding(
                "transactions",
                Severity.RISK,
                f"{name} ({user}, pid {pid}, {state}) is in a transaction for {_minutes(age)}",
                f"end it, if need be with SELECT pg_terminate_backend({pid})",
            )
        cursor.execute(PREPARED_TRANSACTIONS, [LONG_TRANSACTION_SECONDS])
        for gid, age in cursor.fetchall():
            yield Finding(
                "transactions",
                Severity.RISK,
                f"the prepared transaction {gid!r} waits for {_minutes(age)}: it survives restarts",
                f"COMMIT PREPARED or ROLLBACK PREPARED '{gid}'",
            )


def clocks_agree() -> Iterator[Finding]:
    """Our clock against the database's, for retries are timed by the one and leases by the other; and the producers'
    against it, as far as the journal tells: a broker cannot be asked for its time.
    """
    before = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        [theirs] = cursor.fetchone()
    after = timezone.now()
    ours = before + (after - before) / 2
    off = abs((theirs - ours).total_seconds()) - (after - before).total_seconds() / 2
    if off > CLOCK_SECONDS:
        yield Finding(
            "clock",
            Severity.RISK,
            f"the database's clock and ours are {off:.1f} s apart: retries come early or late",
            "let both follow NTP",
        )
    newest = JournalEvent.objects.order_by("-id").values_list("time", "recorded_at")[:LOOK_BACK]
    ahead = max((sent - recorded for sent, recorded in newest), default=timedelta(0)).total_seconds()
    if ahead > CLOCK_SECONDS:
        yield Finding(
            "clock",
            Severity.RISK,
            f"a message was journaled {ahead:.1f} s before its producer's clock says it was sent",
            "let the relay's host, other producers and the database follow NTP",
        )


def outbox_flows() -> Iterator[Finding]:
    """Events that wait too long, buckets without a relay, keys that the broker refuses."""
    now = database_time()
    oldest = OutboxEvent.objects.aggregate(oldest=Min("created_at"))["oldest"]
    if oldest and now - oldest > OLDEST_WAITING:
        yield Finding(
            "outbox",
            Severity.BROKEN,
            f"the oldest event waits for {_age(oldest)}",
            "see whether relay_outbox runs and reaches Kafka, and whether its key is held",
        )
    free = RelayBucket.objects.exclude(expires_at__gt=now).count()
    total = RelayBucket.objects.count()
    if free or not total:
        yield Finding(
            "leases",
            Severity.BROKEN,
            f"nobody publishes {free} of {total} buckets" if total else "no relay has ever run here",
            "start relay_outbox",
        )
    for held in HeldKey.objects.order_by("held_at")[:20]:
        yield Finding(
            "held keys",
            Severity.BROKEN,
            f"{held.topic} {held.key} is held for {_age(held.held_at)}: {held.reason}",
            "mend the cause, then release or skip it in the admin",
        )


def consumers_follow() -> Iterator[Finding]:
    """Groups that are behind, and what they could not handle."""
    cluster = Cluster()
    for name, reader in bus_settings().readers.items():
        for lag in cluster.lag(reader.group_id, topics_of(name)):
            if lag.lag > LAG:
                yield Finding(
                    "lag",
                    Severity.RISK,
                    f"{lag.group} is {lag.lag} messages behind on {lag.topic}",
                    "see whether run_consumers runs; more of them share the partitions",
                )


def nothing_is_stuck() -> Iterator[Finding]:
    """Dead letters, keys parked for hours, replays that stopped."""
    hours = database_time() - timedelta(hours=1)
    for group in sorted(room.group_id for room in bus_settings().rooms.values()):
        dead = ParkedEvent.objects.dead().filter(group=group)
        if count := dead.count():
            yield Finding(
                "dead letters", Severity.BROKEN, f"{group} has {count}", "dead_letters list, then retry or discard"
            )
        waiting = ParkedEvent.objects.filter(group=group, state=ParkedEvent.State.RETRYING, parked_at__lt=hours)
        if count := waiting.count():
            yield Finding(
                "parked keys",
                Severity.RISK,
                f"{group} tries {count} keys for more than an hour",
                "read their errors in the admin: what they wait for may not come by itself",
            )
    for replay in Replay.objects.filter(state=Replay.State.STOPPED).order_by("id")[:20]:
        yield Finding(
            "replays", Severity.RISK, f"{replay} stopped: {replay.error}", f"replay_events --resume {replay.pk}"
        )


def journal_has_its_days() -> Iterator[Finding]:
    """A journal whose coming days nobody makes: the beat stands still."""
    if bus_settings().journal is not None and today() + timedelta(days=1) not in existing_days():
        yield Finding(
            "journal",
            Severity.RISK,
            "tomorrow has no partition yet",
            "start celery beat and a worker; until then the journal's consumer makes the days it needs",
        )


def _age(moment: datetime) -> str:
    return _minutes(database_time() - moment)


def _minutes(age: Any) -> str:
    seconds = age.total_seconds()
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"  # noqa: PLR2004 - as people say it


CHECKS: dict[str, Check] = {
    "settings": settings_fit,
    "database": database_settings_fit,
    "autovacuum": tables_are_cleaned,
    "transactions": transactions_end,
    "clock": clocks_agree,
    "outbox": outbox_flows,
    "stuck": nothing_is_stuck,
    "journal": journal_has_its_days,
    "topics": topics_are_as_planned,
    "lag": consumers_follow,
}
