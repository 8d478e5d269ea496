"""publish(): the event exists if and only if the transaction committed, and a mistake is an error at the call."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from eventbus.context import EventContext, event_context
from eventbus.events import Event
from eventbus.exceptions import (
    OutsideTransactionError,
    OversizedEventError,
    PublishError,
    UnregisteredEventError,
)
from eventbus.models import OutboxEvent
from eventbus.outbox import bucket_of, publish
from eventbus.testing import published
from tests.eventbus.sample import Counted

COUNTER = UUID("0190a7b2-0000-7000-8000-000000000001")


class Undecorated(Event):
    thing_id: UUID


@pytest.mark.django_db(transaction=True)
def test_publish_refuses_to_work_outside_a_transaction() -> None:
    with pytest.raises(OutsideTransactionError, match=r"publish\(Counted\) outside a transaction"):
        publish(Counted(counter_id=COUNTER, number=1))

    assert not OutboxEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_event_of_a_rolled_back_transaction_never_existed() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        publish(Counted(counter_id=COUNTER, number=1))
        raise RuntimeError

    assert not OutboxEvent.objects.exists()


@pytest.mark.django_db
def test_the_row_holds_all_the_relay_needs() -> None:
    counted = Counted(counter_id=COUNTER, number=1, sequence=5)
    with event_context(EventContext(correlation_id="c", causation_id="p", actor="u", traceparent="00-1-2-01")):
        publish(counted)

    row = OutboxEvent.objects.get()
    assert json.loads(bytes(row.payload)) == json.loads(counted.encode())
    assert (row.topic, row.key, row.bucket) == ("sample.counted", str(COUNTER), bucket_of(str(COUNTER)))
    assert (row.aggregate_type, row.aggregate_id, row.sequence) == ("counter", str(COUNTER), 5)
    assert row.headers == {
        "ce_specversion": "1.0",
        "ce_id": counted.id,
        "ce_type": "sample.counted",
        "ce_source": "/tests",
        "ce_time": counted.timestamp.isoformat(),
        "ce_subject": str(COUNTER),
        "ce_partitionkey": str(COUNTER),
        "ce_correlationid": "c",
        "ce_causationid": "p",
        "ce_actor": "u",
        "content-type": "application/json",
        "traceparent": "00-1-2-01",
    }


@pytest.mark.django_db
def test_several_events_cost_one_statement_and_keep_their_order() -> None:
    events = [Counted(counter_id=COUNTER, number=n) for n in range(20)]

    with CaptureQueriesContext(connection) as queries:
        publish(*events)

    assert len([query for query in queries if query["sql"].startswith("INSERT")]) == 1
    assert published(Counted) == events


@pytest.mark.django_db
def test_an_unregistered_event_is_refused() -> None:
    with pytest.raises(UnregisteredEventError, match="Undecorated is not registered"):
        publish(Undecorated(thing_id=uuid4()))

    assert not OutboxEvent.objects.exists()


@pytest.mark.django_db
def test_an_oversized_event_is_refused_together_with_its_companions(settings: Any) -> None:
    settings.EVENTBUS = {**settings.EVENTBUS, "max_event_bytes": 1000}
    with pytest.raises(OversizedEventError, match="the limit is 1000"):
        publish(Counted(counter_id=COUNTER, number=1), Counted(counter_id=COUNTER, number=2, padding="x" * 1000))

    assert not OutboxEvent.objects.exists()


@pytest.mark.django_db
def test_an_id_that_is_no_uuid_is_refused() -> None:
    with pytest.raises(PublishError, match="is not a UUID"):
        publish(Counted(id="mine", counter_id=COUNTER, number=1))

    assert not OutboxEvent.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("nothing", [None, ""])
def test_an_event_without_a_key_is_refused(nothing: Any) -> None:
    with pytest.raises(PublishError, match="its key 'counter_id' is empty"):
        publish(Counted(counter_id=nothing, number=1))

    assert not OutboxEvent.objects.exists()


@pytest.mark.django_db
def test_a_topic_prefix_moves_every_topic(settings: Any) -> None:
    settings.EVENTBUS = {**settings.EVENTBUS, "topic_prefix": "staging."}
    publish(Counted(counter_id=COUNTER, number=1))

    assert OutboxEvent.objects.get().topic == "staging.sample.counted"
