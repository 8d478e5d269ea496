"""The journal's days: a partition for each, made before it is needed and dropped when its time is over."""

import logging
from datetime import UTC, date, datetime, timedelta
from typing import cast

from django.db import OperationalError, connection, transaction

from eventbus.conf import bus_settings

logger = logging.getLogger(__name__)

TABLE = "eventbus_journalevent"
DEFAULT = f"{TABLE}_default"
DAYS_AHEAD = 3  # the beat may stand still that long; after it the journal's writer makes the days itself
LOCK = (0x7472, 0x6A64)  # our advisory lock for changes of the partitions
LOCK_TIMEOUT = "2s"  # dropping a day waits no longer for readers, for everybody else waits behind it
BATCH = 5000
MOST_DROPPED = 20

EXISTING = """
SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
 WHERE inhparent = to_regclass(%s) ORDER BY child.relname
"""

PRUNE = f"""
DELETE FROM {DEFAULT}
 WHERE ctid IN (SELECT ctid FROM {DEFAULT} WHERE recorded_at < now() - %s * interval '1 day' LIMIT %s)
"""  # noqa: S608 - our own table's name


def today() -> date:
    """The day in UTC, which the partitions go by: that of the database's clock, for ours could drop days by mistake."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date")
        [day] = cursor.fetchone()
    return cast("date", day)


def first_kept_day() -> date:
    """The oldest day within the retention."""
    return today() - timedelta(days=bus_settings().journal_retention_days)


def has_own_day(day: date) -> bool:
    """Whether messages of this day get a partition; others, by a wrong clock or too old, share the default one."""
    now = today()
    return now - timedelta(days=bus_settings().journal_retention_days) <= day <= now + timedelta(days=DAYS_AHEAD)


def existing_days() -> list[date]:
    """The days that have a partition, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(EXISTING, [TABLE])
        names = [name for (name,) in cursor.fetchall() if name != DEFAULT]
    return [datetime.strptime(name.removeprefix(f"{TABLE}_"), "%Y%m%d").replace(tzinfo=UTC).date() for name in names]


@transaction.atomic
def make_day(day: date) -> bool:
    """Give a day its partition, with what already lies in the default one; whether it was new.

    Built beside the table and attached to it, which makes neither readers nor writers of other days wait.
    """
    name, start = f"{TABLE}_{day:%Y%m%d}", datetime(day.year, day.month, day.day, tzinfo=UTC)
    bounds = [start.isoformat(), (start + timedelta(days=1)).isoformat()]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", LOCK)
        cursor.execute("SELECT to_regclass(%s)", [name])
        if cursor.fetchone() != (None,):
            return False
        cursor.execute(f"LOCK TABLE {DEFAULT} IN ACCESS EXCLUSIVE MODE")
        cursor.execute(f"CREATE TABLE {name} (LIKE {TABLE} INCLUDING DEFAULTS)")
        cursor.execute(
            f"WITH moved AS (DELETE FROM {DEFAULT} WHERE time >= %s AND time < %s RETURNING *)"  # noqa: S608 - ours
            f" INSERT INTO {name} SELECT * FROM moved",
            bounds,
        )
        cursor.execute(f"ALTER TABLE {TABLE} ATTACH PARTITION {name} FOR VALUES FROM (%s) TO (%s)", bounds)
    return True


def keep_partitions() -> tuple[list[date], list[date]]:
    """Make the coming days and drop those whose time is over; which were made, and which dropped.

    A day that somebody reads just now is left for the next time.
    """
    now = today()
    ahead = [now + timedelta(days=number) for number in range(DAYS_AHEAD + 1)]
    made = [day for day in ahead if make_day(day)]
    first = first_kept_day()
    expired = [day for day in existing_days() if day < first]
    dropped = [day for day in expired[:MOST_DROPPED] if _drop(day)]
    _prune_default()
    return made, dropped


def _drop(day: date) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", LOCK)
            cursor.execute(f"DROP TABLE {TABLE}_{day:%Y%m%d}")
    except OperationalError as error:
        logger.warning("journal: %s is dropped another time (%s)", day, str(error).partition("\n")[0])
        return False
    return True


def _prune_default() -> None:
    while True:
        with connection.cursor() as cursor:
            cursor.execute(PRUNE, [bus_settings().journal_retention_days, BATCH])
            if cursor.rowcount < BATCH:
                return
