"""A host whose clock jumps: leases, retries and the inbox go by the database's clock or by one that cannot jump."""

import ast
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from prometheus_client import REGISTRY

from eventbus.doctor import outbox_flows
from eventbus.exceptions import NotYetError
from eventbus.health import Health
from eventbus.models import InboxEvent, ParkedEvent, RelayBucket
from eventbus.outbox import publish
from eventbus.processing import Processor
from eventbus.relay import Relay
from eventbus.status import bus_status
from eventbus.tasks import prune_inbox
from tests.eventbus.conftest import message
from tests.eventbus.sample import Counted, numbers, troubles
from tests.house.checkout import ROOT, place, python_files, tree

HOUR = 3600.0
State = ParkedEvent.State
WALL_CLOCKS = {"timezone.now", "datetime.now", "datetime.utcnow", "time.time", "time.time_ns"}
SHOWN_ONLY = {
    "eventbus/doctor.py": "compares it with the database's",
    "eventbus/events.py": "an event says when it was recorded; nothing is ordered by it",
    "eventbus/processing.py": "a metric",
    "eventbus/replay/running.py": "when a replay moved last, for people",
    "eventbus/kafka/security.py": "a certificate's end, for a message",
}


@pytest.fixture(params=[timedelta(days=400), timedelta(days=-400)], ids=["forwards", "backwards"])
def jump(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let this process's clock jump; the database's goes on."""

    def jump() -> None:
        now, seconds = timezone.now, time.time
        monkeypatch.setattr(timezone, "now", lambda: now() + request.param)
        monkeypatch.setattr(time, "time", lambda: seconds() + request.param.total_seconds())

    return jump


def test_a_lease_lasts_as_long_as_ever(bus: Any, db: None, jump: Callable[[], None]) -> None:
    relay, other = Relay(), Relay()
    relay.leases._balance()
    jump()

    relay.leases._renew()
    held = RelayBucket.objects.filter(owner=relay.id, epoch=1, expires_at__gt=Now())

    assert len(relay.leases.held()) == held.count() == 16
    duration = timedelta(seconds=relay.leases.duration)
    assert not RelayBucket.objects.filter(expires_at__gt=Now() + duration).exists()
    other.leases._balance()
    assert other.leases.held() == {}  # nothing has run out


def test_a_parked_event_is_due_when_it_would_have_been(processor: Processor, jump: Callable[[], None]) -> None:
    counter = uuid4()
    troubles[1] = lambda: RuntimeError("boom")
    jump()
    processor.process([message(counter, 1)])

    assert processor.retry_due() == 0
    [due_in] = ParkedEvent.objects.annotate(wait=F("next_attempt_at") - Now()).values_list("wait", flat=True)
    assert timedelta(seconds=30) < due_in < timedelta(seconds=90)  # a minute, and a quarter of it either way

    troubles.clear()
    ParkedEvent.objects.update(next_attempt_at=Now() - timedelta(seconds=1))
    assert processor.retry_due() == 1
    assert numbers(counter) == [1]


def test_an_event_that_waits_for_another_is_not_given_up(processor: Processor, jump: Callable[[], None]) -> None:
    troubles[1] = lambda: NotYetError("the other one is missing")
    processor.process([message(number=1)])
    jump()
    ParkedEvent.objects.update(next_attempt_at=Now() - timedelta(seconds=1))

    processor.retry_due()

    assert ParkedEvent.objects.get().state == State.RETRYING


def test_the_inbox_keeps_what_it_must_remember(processor: Processor, jump: Callable[[], None]) -> None:
    processor.process([message(number=1), message(number=2)])
    old = InboxEvent.objects.order_by("offset").first()
    InboxEvent.objects.filter(pk=old.pk).update(handled_at=Now() - timedelta(days=46))
    jump()

    assert prune_inbox() == 1

    assert InboxEvent.objects.count() == 1


def test_what_people_and_alarms_are_told_is_true(
    bus: Any, db: None, jump: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "brokers": "", "lease_seconds": HOUR}
    relay = Relay()
    relay.leases._balance()
    monkeypatch.setattr(Health, "port", 1)  # somebody reads its metrics
    with transaction.atomic():
        publish(Counted(counter_id=uuid4(), number=1))
    jump()

    relay._look()
    told = bus_status()

    assert 0 <= REGISTRY.get_sample_value("tributary_outbox_oldest_age_seconds") < HOUR
    assert 0 <= told["outbox"]["oldest_age_seconds"] < HOUR
    assert [len(found["buckets"]) for found in told["relays"]] == [16]
    assert list(outbox_flows()) == []


def test_nothing_else_of_the_bus_asks_the_hosts_clock() -> None:
    asked = {
        str(file.relative_to(ROOT)): place(file, node.lineno)
        for file in python_files("eventbus")
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in WALL_CLOCKS
    }

    assert asked.keys() == SHOWN_ONLY.keys(), sorted(asked.values())
