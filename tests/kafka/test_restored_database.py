"""A database comes back from a backup while Kafka and the groups' offsets are ahead, as docs/operations.md tells."""

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from eventbus.consumer import Consumer
from eventbus.kafka.admin import Cluster
from eventbus.models import InboxEvent, OutboxEvent
from eventbus.outbox import publish
from eventbus.relay import Relay
from eventbus.topics import sync_topics
from tests.eventbus.sample import Counted, numbers

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sample_room")]


@pytest.fixture
def backup(broker: str) -> Callable[[], Callable[[], None]]:
    """Takes a backup of what the bus and the sample room keep; calling that brings it back."""
    if broker == "apache":
        sync_topics(Cluster(), apply=True)
    tables = [InboxEvent._meta.db_table, OutboxEvent._meta.db_table, "sample_effect"]

    def take() -> Callable[[], None]:
        with connection.cursor() as cursor:
            for table in tables:
                cursor.execute(f"CREATE TEMP TABLE backup_of_{table} AS TABLE {table}")

        def bring_back() -> None:
            with transaction.atomic(), connection.cursor() as cursor:
                for table in tables:
                    cursor.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
                    cursor.execute(f"INSERT INTO {table} SELECT * FROM backup_of_{table}")  # noqa: S608 - our own names
                    cursor.execute(f"DROP TABLE backup_of_{table}")

        return bring_back

    return take


def tell(counter: UUID, number: int) -> None:
    with transaction.atomic():
        publish(Counted(counter_id=counter, number=number, sequence=number))


def test_what_was_told_before_the_backup_is_heard_once_and_what_was_lost_is_not(backup: Any) -> None:
    counter = uuid4()
    tell(counter, 1)
    Relay().drain()
    Consumer("tests").drain()
    tell(counter, 2)
    Relay().drain()  # in Kafka, and not yet handled
    tell(counter, 3)  # still in the outbox
    restore, moment = backup(), timezone.now()
    Relay().drain()
    tell(counter, 4)  # will be lost
    Relay().drain()
    Consumer("tests").drain()
    assert numbers(counter) == [1, 2, 3, 4]

    restore()
    assert numbers(counter) == [1]
    bounds = ["--since", (moment - timedelta(hours=1)).isoformat(), "--until", moment.isoformat()]
    command = ["replay_events", "tests", "--from", "kafka", *bounds, "--apply", "--reason", "restored"]
    call_command(*command, stdout=StringIO())
    Relay().drain()
    Consumer("tests").drain()

    assert numbers(counter) == [1, 2, 3]
    tell(counter, 4)
    Relay().drain()
    Consumer("tests").drain()
    assert numbers(counter) == [1, 2, 3, 4]
