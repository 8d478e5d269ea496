"""Writers that commit one change and one event at a time, at a steady rate."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import connection

from benchmarks.backlog_rows import TEMPLATE
from benchmarks.models import Written
from eventbus.models import OutboxEvent

WRITERS = 4
FIELDS = [field.column for field in OutboxEvent._meta.concrete_fields if not field.primary_key]
FRESH = {  # what makes a copy of a template's row an event of its own
    "event_id": "change.event_id::uuid",
    "payload": "convert_to(replace(convert_from(payload, 'UTF8'), template.event_id::text, change.event_id), 'UTF8')",
    "headers": "headers || jsonb_build_object('ce_id', change.event_id, 'ce_correlationid', change.event_id)",
    "created_at": "now()",
}
COPY = ", ".join(FRESH.get(str(column), f'template."{column}"') for column in FIELDS)
INTO = ", ".join(f'"{column}"' for column in FIELDS)
CHANGE_AND_TELL = f"""
WITH change AS (INSERT INTO {Written._meta.db_table} (event_id) VALUES (uuidv7()::text) RETURNING event_id)
INSERT INTO {OutboxEvent._meta.db_table} ({INTO})
SELECT {COPY} FROM {TEMPLATE} template, change WHERE template.id = %s
"""
FLOOD = f"""
WITH change AS (SELECT id, uuidv7()::text AS event_id FROM {TEMPLATE})
INSERT INTO {OutboxEvent._meta.db_table} ({INTO})
SELECT {COPY} FROM {TEMPLATE} template JOIN change USING (id) ORDER BY template.id
"""
WAITING = f"SELECT count(*) FROM {OutboxEvent._meta.db_table}"
FLOOD_SECONDS = 0.01


def write_steadily(*, rate: float, seconds: float) -> float:
    """So many events a second for so long, each in a transaction of its own; the rate that was kept."""
    numbers = template_ids()
    counts = [0] * WRITERS
    started = time.monotonic()

    def write(writer: int) -> None:
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as database:
            for turn in range(int(rate * seconds / WRITERS)):
                due = started + (turn + writer / WRITERS) * WRITERS / rate
                time.sleep(max(0.0, due - time.monotonic()))
                database.execute(CHANGE_AND_TELL, [numbers[turn % len(numbers)]], prepare=True)
                counts[writer] += 1

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - started)


@contextmanager
def flood(*, below: int) -> Iterator[None]:
    """While the block runs, add the template to the outbox, as fresh events, whenever fewer than `below` wait."""
    stop = threading.Event()

    def write() -> None:
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as database:
            while not stop.wait(FLOOD_SECONDS):
                [waiting] = database.execute(WAITING).fetchone() or (0,)
                if waiting < below:
                    database.execute(FLOOD)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def template_ids() -> list[int]:
    """The ids of the template's rows."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM {TEMPLATE} ORDER BY id")
        return [number for (number,) in cursor.fetchall()]
