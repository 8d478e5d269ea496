"""With relay_wake "notify" an idle relay is rung by whoever publishes, and hears a bell that rang while it was busy."""

import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction

from devstack.kafka_builtin import BuiltinBroker
from eventbus import waking
from eventbus.models import OutboxEvent
from eventbus.outbox import publish
from eventbus.relay import Relay
from tests.eventbus.sample import Counted

pytestmark = [pytest.mark.django_db(transaction=True)]


class Clockless(threading.Event):
    """Remembers how long it was waited for, and waits for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout or 0.0)
        return False


def test_polling_is_quick_after_work_and_slows_down_to_its_setting(bus: Any) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "relay_idle_seconds": 0.02}
    clock = Clockless()
    poll = waking.waking(clock)
    for _ in range(3):
        poll.wait()
    poll.worked()
    for _ in range(30):
        poll.wait()

    assert clock.waited[:4] == [0.02, 0.02, 0.02, 0.005]
    assert clock.waited[3:] == sorted(clock.waited[3:])
    assert clock.waited[-1] == 0.02


@pytest.fixture
def relay(bus: Any, builtin: BuiltinBroker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """A relay that hears nothing but the bell for five minutes."""
    bus.EVENTBUS = {**bus.EVENTBUS, "relay_wake": "notify"}
    monkeypatch.setattr(waking, "WITHOUT_BELL_SECONDS", 300.0)
    relay = Relay()
    relay.leases.start()
    yield relay
    connection.connection.execute("UNLISTEN *")
    relay._close()


def publish_one() -> None:
    with transaction.atomic():
        publish(Counted(counter_id=uuid4(), number=1))


def from_elsewhere(work: Any, *, after: float = 0.0) -> threading.Thread:
    def run() -> None:
        time.sleep(after)
        work()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def idle(relay: Relay) -> float:
    """How long one look at the empty outbox took, in seconds."""
    since = time.monotonic()
    relay._guarded_round()
    return time.monotonic() - since


def test_an_idle_relay_is_rung_by_a_commit(relay: Relay) -> None:
    relay._guarded_round()  # it begins to listen
    publisher = from_elsewhere(publish_one, after=0.3)

    waited = idle(relay)
    publisher.join()

    assert 0.1 < waited < 60.0
    assert relay.round() == 1


def test_a_bell_that_rang_during_a_round_is_heard_after_it(relay: Relay) -> None:
    relay._guarded_round()
    from_elsewhere(publish_one).join()
    relay.round()  # the notification comes with an answer of this round
    OutboxEvent.objects.all().delete()

    assert idle(relay) < 60.0


def test_a_transaction_rings_once_and_only_when_it_commits(relay: Relay) -> None:
    relay._guarded_round()
    with transaction.atomic():
        publish(*(Counted(counter_id=uuid4(), number=n) for n in range(3)))
        publish(Counted(counter_id=uuid4(), number=4))

    rung = list(connection.connection.notifies(timeout=5.0, stop_after=1))
    assert [notice.channel for notice in rung] == ["eventbus_outbox"]
    assert list(connection.connection.notifies(timeout=0.2)) == []


def test_polling_rings_for_nobody(bus: Any) -> None:
    connection.ensure_connection()
    connection.connection.execute("LISTEN eventbus_outbox")
    publish_one()

    heard = list(connection.connection.notifies(timeout=0.2))
    connection.connection.execute("UNLISTEN *")
    assert heard == []
