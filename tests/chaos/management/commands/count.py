import random
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand
from django.db import InterfaceError, OperationalError, connection, transaction

from eventbus.outbox import publish
from tests.chaos.events import Counted
from tests.chaos.tables import COUNTERS

TRANSACTIONS_PER_SECOND = 30
MOST_AT_ONCE = 3
ROLLED_BACK = 0.1
PAUSE_SECONDS = 0.5

chance = random.Random()


class Command(BaseCommand):
    help = "Count, and tell each number, until stopped; a tenth of the transactions is rolled back."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        while not stop.is_set():
            try:
                count_some()
            except (OperationalError, InterfaceError):  # the database is away, or was in the middle of it
                connection.close()
                stop.wait(PAUSE_SECONDS)
            stop.wait(chance.expovariate(TRANSACTIONS_PER_SECOND))


def count_some() -> None:
    """One transaction: lock some counters, in order, and tell what each has reached."""
    chosen = sorted(chance.sample(COUNTERS, chance.randint(1, MOST_AT_ONCE)))
    with transaction.atomic():
        for counter_id in chosen:
            with connection.cursor() as cursor:
                cursor.execute(
                    "UPDATE chaos_counter SET number = number + 1 WHERE id = %s RETURNING number", [counter_id]
                )
                number = int(cursor.fetchone()[0])
            publish(Counted(counter_id=counter_id, number=number))
        transaction.set_rollback(chance.random() < ROLLED_BACK)
