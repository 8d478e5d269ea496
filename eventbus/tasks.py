"""The bus's clock work."""

from celery import shared_task
from django.db import connection

from eventbus.conf import bus_settings
from eventbus.journal.partitions import keep_partitions

BATCH = 5000

PRUNE = """
DELETE FROM eventbus_inboxevent
 WHERE ctid IN (SELECT ctid FROM eventbus_inboxevent WHERE handled_at < now() - %s * interval '1 day'
                LIMIT %s FOR UPDATE SKIP LOCKED)
"""


@shared_task
def prune_inbox() -> int:
    """Forget what was handled longer ago than any topic keeps it; the number of rows, in batches of 5,000."""
    days = bus_settings().inbox_retention_days  # by the database's clock: that of a worker may jump
    pruned = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(PRUNE, [days, BATCH])
            gone: int = cursor.rowcount
        pruned += gone
        if gone < BATCH:
            return pruned


@shared_task
def keep_journal_partitions() -> tuple[int, int]:
    """Make the journal's coming days and drop those whose time is over, where there is a journal; how many of each."""
    if bus_settings().journal is None:
        return 0, 0
    made, dropped = keep_partitions()
    return len(made), len(dropped)
