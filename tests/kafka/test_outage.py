"""A broker that is away costs the relay neither a core nor a page of log."""

import logging
import threading
import time
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction

from devstack.kafka_builtin import BuiltinBroker
from eventbus.models import OutboxEvent
from eventbus.outbox import publish
from eventbus.relay import Relay
from tests.eventbus.sample import Counted

OUTAGE_SECONDS = 5.0
DELIVERY_SECONDS = 1.0  # so that a producer is given up several times within the outage
SHARE_OF_A_CORE = 0.2

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture
def relay(bus: Any, builtin: BuiltinBroker) -> Any:
    """A relay at work on a thread of its own."""
    bus.EVENTBUS = {**bus.EVENTBUS, "delivery_timeout_seconds": DELIVERY_SECONDS}
    relay = Relay()

    def run() -> None:
        relay.run()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    yield relay
    relay.stop()
    thread.join()


def publish_one() -> None:
    with transaction.atomic():
        publish(Counted(counter_id=uuid4(), number=1))


def wait_until_published(seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while OutboxEvent.objects.exists():
        assert time.monotonic() < deadline, "the events stay in the outbox"
        time.sleep(0.05)


def test_an_outage_is_said_once_and_costs_little(
    relay: Relay, builtin: BuiltinBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    publish_one()
    wait_until_published()

    builtin.set_down()
    publish_one()
    spent = time.process_time()
    time.sleep(OUTAGE_SECONDS)
    spent = time.process_time() - spent
    waiting = OutboxEvent.objects.count()
    builtin.set_up()
    wait_until_published()

    assert waiting == 1
    assert spent < SHARE_OF_A_CORE * OUTAGE_SECONDS
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("eventbus")]
    [away, back] = [line for line in lines if not line.endswith("started")]
    assert away.startswith("relay: waiting for Kafka: ")
    assert back == "relay: Kafka is back"
