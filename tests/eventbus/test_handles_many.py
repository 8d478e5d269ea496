"""Handlers of many events: one call a batch, in order, in its transaction; alone when the batch fails."""

from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from eventbus.context import SEVERAL_CAUSES, event_context
from eventbus.exceptions import CatalogError, PublishError
from eventbus.handlers import handles, handles_many
from eventbus.models import InboxEvent, OutboxEvent, ParkedEvent
from eventbus.outbox import publish
from eventbus.processing import Processor
from tests.eventbus.conftest import message
from tests.eventbus.sample import Counted, Tallied, effects, numbers, tallies, tally, troubles


def test_a_batch_is_one_call_with_its_events_in_order(processor: Processor) -> None:
    counter, other = uuid4(), uuid4()

    processor.process([message(counter, 1, of=Tallied), message(other, 5), message(counter, 2, of=Tallied)])

    assert tallies == [[1, 2]]
    assert numbers(counter) == [1, 2]
    assert numbers(other) == [5]


def test_an_event_that_comes_again_is_not_in_the_list(processor: Processor) -> None:
    again = message(number=1, of=Tallied)

    processor.process([again, again])
    processor.process([again, message(number=2, of=Tallied)])

    assert tallies == [[1], [2]]


def test_when_the_list_fails_its_events_run_alone_and_only_the_guilty_one_is_parked(processor: Processor) -> None:
    bad, good = uuid4(), uuid4()
    troubles[2] = lambda: RuntimeError("boom")

    processor.process([message(bad, n, of=Tallied) for n in (1, 2, 3)] + [message(good, 7, of=Tallied)])

    assert tallies == [[1, 2, 3, 7], [1], [2], [7]]
    assert numbers(bad) == [1]
    assert numbers(good) == [7]
    assert list(ParkedEvent.objects.values_list("state", flat=True)) == ["retrying", "queued"]


def test_a_parked_event_is_tried_again_as_a_list_of_one(processor: Processor) -> None:
    counter = uuid4()
    troubles[1] = lambda: RuntimeError("boom")
    processor.process([message(counter, n, of=Tallied) for n in (1, 2)])
    troubles.clear()
    tallies.clear()
    ParkedEvent.objects.filter(state="retrying").update(next_attempt_at="2020-01-01T00:00Z")

    assert processor.retry_due() == 2

    assert tallies == [[1], [2]]
    assert numbers(counter) == [1, 2]


def test_an_unreadable_message_is_not_in_the_list(processor: Processor) -> None:
    processor.process([message(number=1, of=Tallied), message(of=Tallied, value=b"{"), message(number=3, of=Tallied)])

    assert tallies == [[1, 3]]
    assert ParkedEvent.objects.dead().count() == 1


@pytest.mark.parametrize("size", [2, 60])
def test_a_batch_costs_three_statements_whatever_its_size(processor: Processor, size: int) -> None:
    batch = [message(number=n, of=Tallied) for n in range(size)]

    with CaptureQueriesContext(connection) as queries:
        processor.process(batch)

    assert len(effects()) == InboxEvent.objects.count() == size
    assert [query["sql"].split()[0] for query in queries] == ["SAVEPOINT", "INSERT", "SELECT", "INSERT", "RELEASE"]


def test_what_has_many_causes_cannot_be_published(bus: Any, db: None) -> None:
    with event_context(SEVERAL_CAUSES), pytest.raises(PublishError, match="a handler of many events cannot publish"):
        publish(Counted(counter_id=uuid4(), number=1))

    assert not OutboxEvent.objects.exists()


def test_many_causes_are_told_to_the_handler_of_many_alone(processor: Processor) -> None:
    seen: list[Exception] = []

    def try_to_publish() -> Exception:
        with pytest.raises(PublishError) as refused:
            publish(Counted(counter_id=uuid4(), number=1))
        seen.append(refused.value)
        return refused.value

    troubles[4] = try_to_publish

    def publish_and_fail() -> Exception:
        publish(Counted(counter_id=uuid4(), number=1))
        return RuntimeError("it was published, and is rolled back")

    processor.process([message(number=4, of=Tallied)])
    troubles[5] = publish_and_fail
    processor.process([message(number=5)])

    assert len(seen) == 1
    assert list(ParkedEvent.objects.order_by("id").values_list("error_class", "error")) == [
        ("eventbus.exceptions.PublishError", str(seen[0])),
        ("builtins.RuntimeError", "it was published, and is rolled back"),
    ]


def test_one_function_answers_an_event_in_one_way() -> None:
    with pytest.raises(CatalogError, match="already handles Tallied with tally"):
        handles(Tallied)(tally)
    with pytest.raises(CatalogError, match="already handles Tallied with tally"):
        handles_many(Tallied)(tally)
