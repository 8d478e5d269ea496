"""The bus alone, with one sample room."""

import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings as django_settings
from django.db import connection

from eventbus.messages import Message
from eventbus.outbox import topic_of
from eventbus.processing import Processor
from tests.eventbus import sample
from tests.eventbus.sample import Counted, Tallied

ROOM = {"tests": {"client_id": "sample-service", "group_id": "sample-consumer-group"}}


@pytest.fixture
def bus(settings: Any) -> Any:
    """Settings with the sample room alone and retries that come when the test says so."""
    settings.EVENTBUS = {
        **django_settings.EVENTBUS,
        "rooms": ROOM,
        "retry_base_seconds": 60.0,
        "retry_attempts": 3,
        "consumer_transaction_seconds": 600.0,  # one transaction a batch, however slow the machine is
    }
    return settings


@pytest.fixture
def sample_room(bus: Any, db: None) -> Iterator[None]:
    """The sample room with its table, its handler well-behaved at first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS sample_effect"
            " (id bigserial PRIMARY KEY, event_id text UNIQUE, counter_id uuid, number int)"
        )
        cursor.execute("TRUNCATE sample_effect")
    sample.troubles.clear()
    sample.tallies.clear()
    yield
    sample.troubles.clear()


@pytest.fixture
def processor(sample_room: None) -> Processor:
    return Processor("tests")


offsets = count()


def message(
    counter_id: UUID | None = None, number: int = 1, *, of: type[Counted | Tallied] = Counted, **fields: Any
) -> Message:
    """An event of the sample room as Kafka would hand it over; fields replace the message's own."""
    counted = of(counter_id=counter_id or uuid4(), number=number)
    described = {
        "topic": topic_of(of.spec),
        "partition": 0,
        "offset": next(offsets),
        "key": counted.key.encode(),
        "value": counted.encode(),
        **fields,
    }
    return Message(**described)


def after(seconds: float) -> Callable[[], bool]:
    """A condition that comes true after so many seconds."""
    deadline = time.monotonic() + seconds
    return lambda: time.monotonic() > deadline
