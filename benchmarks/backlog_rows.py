"""Rows for the outbox: made once by publish() itself, then copied inside the database."""

from collections.abc import Sequence
from uuid import UUID

from django.db import connection, transaction

from benchmarks.events import Counted
from eventbus.models import OutboxEvent
from eventbus.outbox import publish

TEMPLATE = "benchmark_template"
COLUMNS = ", ".join(
    connection.ops.quote_name(str(field.column)) for field in OutboxEvent._meta.concrete_fields if not field.primary_key
)
KEYS = 997
CHUNK = 1000


def make_template(count: int, event_class: type[Counted] = Counted) -> None:
    """Keep so many published events aside, before any relay can see them; key by key the numbers rise from 1."""
    with transaction.atomic():
        execute(f"DROP TABLE IF EXISTS {TEMPLATE}")
        for start in range(0, count, CHUNK):
            publish(*(counted(event_class, number) for number in range(start, min(start + CHUNK, count))))
        execute(f"CREATE TABLE {TEMPLATE} AS SELECT * FROM {OutboxEvent._meta.db_table}")
        execute(f"ALTER TABLE {TEMPLATE} ADD PRIMARY KEY (id)")
        execute(f"DELETE FROM {OutboxEvent._meta.db_table}")
    settle(TEMPLATE)


def counted(event_class: type[Counted], number: int) -> Counted:
    """The event of this place in the backlog."""
    return event_class(counter_id=UUID(int=number % KEYS), number=number // KEYS + 1)


def fill_outbox(times: int = 1) -> None:
    """Put the template into the outbox, so many times over, in one commit."""
    settle(OutboxEvent._meta.db_table)
    execute(
        f"INSERT INTO {OutboxEvent._meta.db_table} ({COLUMNS}) SELECT {COLUMNS} FROM {TEMPLATE}"
        " CROSS JOIN generate_series(1, %s) AS turn ORDER BY turn, id",
        [times],
    )


def clear_outbox() -> None:
    """Nothing waits."""
    execute(f"TRUNCATE {OutboxEvent._meta.db_table}")


def settle(table: str) -> None:
    """Let the planner know the table, and let nobody pay for what another one wrote."""
    execute(f"VACUUM ANALYZE {table}")
    execute("CHECKPOINT")


def execute(sql: str, parameters: Sequence[int] | None = None) -> None:
    """One statement on Django's connection."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
