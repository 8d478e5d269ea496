"""What a round, a batch and an attempt cost in statements."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from eventbus import relay as relay_module
from eventbus.messages import Row
from eventbus.models import OutboxEvent, ParkedEvent
from eventbus.outbox import publish
from eventbus.processing import Processor
from eventbus.relay import Relay
from tests.eventbus.conftest import message
from tests.eventbus.sample import Counted, troubles
from tests.proof.broker import Broker, RecordingProducer


def verbs(queries: CaptureQueriesContext) -> list[str]:
    """The statements without savepoints and the handler's own."""
    texts = [query["sql"].split() for query in queries if "sample_effect" not in query["sql"]]
    return [words[0] for words in texts if words[0] not in {"SAVEPOINT", "RELEASE", "ROLLBACK"}]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("size", [1, 150])
def test_a_round_asks_and_deletes_once_whatever_its_size(bus: Any, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    broker, asked, fetch = Broker(), list[Mapping[int, int]](), Relay._fetch

    def counted_fetch(self: Relay, owned: Mapping[int, int]) -> list[Row]:
        asked.append(owned)
        return fetch(self, owned)

    monkeypatch.setattr(relay_module, "EventProducer", lambda *arguments: RecordingProducer(broker, *arguments))
    monkeypatch.setattr(Relay, "_fetch", counted_fetch)
    bus.EVENTBUS = {**bus.EVENTBUS, "relay_batch_min": 4000}
    relay = Relay()
    relay.leases.start()
    relay.leases.balance()
    with transaction.atomic():
        publish(*(Counted(counter_id=uuid4(), number=1) for _ in range(size)))

    with CaptureQueriesContext(connection) as queries:
        assert relay.round() == size
        assert relay.round() == 0
    relay._close()

    assert verbs(queries) == ["DELETE"]
    assert len(asked) == 2  # the fetch goes past Django's cursor
    assert not OutboxEvent.objects.exists()


@pytest.mark.usefixtures("sample_room")
@pytest.mark.parametrize("size", [2, 60])
def test_the_bookkeeping_of_a_batch_does_not_grow_with_it(size: int) -> None:
    processor = Processor("tests")
    again = [message(number=n) for n in range(size)]

    with CaptureQueriesContext(connection) as first:
        processor.process(again)
    with CaptureQueriesContext(connection) as second:
        processor.process(again)

    assert verbs(first) == ["INSERT", "SELECT"]  # claim all, ask for parked keys
    assert verbs(second) == ["INSERT"]  # nothing of it is new


@pytest.mark.usefixtures("sample_room")
def test_an_attempt_at_a_parked_event_has_a_fixed_price() -> None:
    processor, counter = Processor("tests"), uuid4()
    troubles[1] = lambda: RuntimeError("not now")
    processor.process([message(counter, n) for n in (1, 2, 3)])
    troubles.clear()
    ParkedEvent.objects.filter(state=ParkedEvent.State.RETRYING).update(next_attempt_at="2020-01-01T00:00Z")

    with CaptureQueriesContext(connection) as queries:
        assert processor.retry_due(limit=1) == 1
    with CaptureQueriesContext(connection) as idle:
        ParkedEvent.objects.update(next_attempt_at=None, state=ParkedEvent.State.QUEUED)
        assert processor.retry_due() == 0

    # count the attempt; lock key and head; handle; look at deferred rules
    assert verbs(queries)[:6] == ["SELECT", "UPDATE", "SELECT", "SELECT", "SET", "SET"]
    # take it away; is there another head? its follower comes up
    assert verbs(queries)[6:] == ["DELETE", "SELECT", "SELECT", "UPDATE"]
    assert verbs(idle) == ["UPDATE", "SELECT"]
