"""What a stranger may put on a topic, and the answer to each; tests/kafka/test_bad_input.py brings it through Kafka."""

from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction

from eventbus.context import current_context
from eventbus.exceptions import DomainError, PublishError
from eventbus.kafka.consumer import message_from
from eventbus.messages import MAX_CONTEXT, MAX_KEY, Message, read
from eventbus.models import InboxEvent, OutboxEvent, ParkedEvent
from eventbus.outbox import publish
from eventbus.processing import Processor
from tests.eventbus.conftest import message
from tests.eventbus.sample import Counted, numbers, troubles

MEGABYTE = 1_000_000


def value(counter: object, number: int, /, **fields: str) -> bytes:
    """A Counted event by hand; fields are JSON text."""
    parts = {"counterId": f'"{counter}"', "number": str(number), **fields}
    return ("{" + ",".join(f'"{name}":{text}' for name, text in parts.items()) + "}").encode()


def raw(**answers: Any) -> Any:
    """A message as Kafka's client hands it over."""
    given = {
        "topic": "sample.counted",
        "partition": 0,
        "offset": 1,
        "key": b"k",
        "value": b"{}",
        "headers": None,
        "timestamp": (0, 0),
    }
    return type("Raw", (), {name: lambda _, answer=answer: answer for name, answer in {**given, **answers}.items()})()


def test_a_huge_value_that_is_an_event_takes_effect(processor: Processor) -> None:
    counter = uuid4()
    huge = value(counter, 7, invented=f'"{"x" * 10 * MEGABYTE}"')

    processor.process([message(value=huge), message(counter, 8)])

    assert numbers(counter) == [7, 8]


def test_a_huge_value_that_is_none_is_a_dead_letter_and_too_large_to_be_told_on(processor: Processor) -> None:
    counter = uuid4()
    huge = b'{"a":"' + b"x" * 10 * MEGABYTE

    processor.process([message(value=huge, key=b"other"), message(counter, 8)])

    assert numbers(counter) == [8]
    assert bytes(ParkedEvent.objects.dead().get().payload) == huge
    told = OutboxEvent.objects.get()
    assert (bytes(told.payload), told.headers["dlq_omitted"]) == (b"", "a value of 10000006 bytes")


def test_headers_of_a_megabyte_hinder_nobody_and_are_not_told_on(processor: Processor) -> None:
    counter = uuid4()
    headers = {"ce_actor": "x" * MEGABYTE}
    troubles[2] = lambda: DomainError("never")

    processor.process([message(counter, 1, headers=headers), message(counter, 2, headers=headers)])

    assert numbers(counter) == [1]
    assert ParkedEvent.objects.dead().get().headers == headers
    told = OutboxEvent.objects.get()
    assert told.headers["dlq_omitted"] == "headers of 1000008 bytes"
    assert "ce_actor" not in told.headers


def test_what_follows_from_an_event_carries_only_the_beginning_of_its_huge_headers(processor: Processor) -> None:
    seen = []

    def look() -> Exception:
        seen.append(current_context())
        return RuntimeError("boom")

    troubles[1] = look
    long = dict.fromkeys(("ce_correlationid", "ce_actor", "traceparent"), "x" * MEGABYTE)

    processor.process([message(number=1, headers=long)])

    assert {len(text) for text in (seen[0].correlation_id, seen[0].actor, seen[0].traceparent)} == {MAX_CONTEXT}


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (None, {}),
        ([], {}),
        ([("ce_actor", None)], {}),
        ([("ce_actor", b"\xff\xfe")], {"ce_actor": "\ufffd\ufffd"}),
        ([("ce_actor", b"a\x00b")], {"ce_actor": "ab"}),
        ([("ce_actor", b"")], {"ce_actor": ""}),
        ([("ce_actor", b"first"), ("ce_actor", b"second")], {"ce_actor": "second"}),
    ],
    ids=["none", "empty", "no value", "not UTF-8", "NUL", "empty value", "twice"],
)
def test_headers_of_the_wrong_kind_are_read_as_far_as_they_can_be(given: Any, taken: dict[str, str]) -> None:
    assert message_from(raw(headers=given)).headers == taken


def test_the_first_of_two_events_with_one_id_counts_whatever_the_other_says(processor: Processor) -> None:
    counter = uuid4()

    processor.process([message(value=value(counter, 1, id='"same"')), message(value=value(counter, 2, id='"same"'))])
    processor.process([message(value=value(counter, 3, id='"same"'))])

    assert numbers(counter) == [1]
    assert InboxEvent.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "text", "reason"),
    [
        ("id", r'"a\u0000b"', "NUL"),
        ("id", r'"a\ud800 and more text"', "surrogate"),
        ("id", "5", "Expected `str`"),
        ("version", "2", "Expected `str`"),
        ("sequence", '"first"', "Expected `int`"),
        ("timestamp", '"yesterday"', "datetime"),
        ("number", "1.5", "Expected `int`"),
        ("padding", "null", "Expected `str`"),
        ("padding", "[" * 100_000 + "]" * 100_000, "recursion"),
    ],
    ids=lambda given: str(given)[:12],
)
def test_a_field_of_the_wrong_kind_is_a_dead_letter(processor: Processor, field: str, text: str, reason: str) -> None:
    counter = uuid4()

    processor.process([message(value=value(counter, 1, **{field: text}), key=b"other"), message(counter, 8)])

    assert reason in ParkedEvent.objects.dead().get().error
    assert numbers(counter) == [8]


@pytest.mark.parametrize("key", [b"k" * MEGABYTE, b"\xff\x00" * 1000, "\N{SNOWMAN}".encode() * MAX_KEY * 2])
def test_a_key_too_long_for_an_index_keeps_its_order_like_any_other(processor: Processor, key: bytes) -> None:
    counter = uuid4()
    troubles[1] = lambda: RuntimeError("boom")
    processor.process([message(counter, 1, key=key), message(counter, 2, key=key), message(counter, 3, key=key + b"!")])
    assert numbers(counter) == [3]
    troubles.clear()
    ParkedEvent.objects.filter(state=ParkedEvent.State.RETRYING).update(next_attempt_at="2020-01-01T00:00Z")

    processor.retry_due()

    assert numbers(counter) == [3, 1, 2]


def test_a_shortened_key_is_not_shortened_again() -> None:
    once = read(message(key=b"k" * 2000)).key

    assert read(message(key=once.encode())).key == once
    assert len(once) <= MAX_KEY


def test_a_key_that_no_index_could_hold_is_refused_at_the_call(sample_room: None, monkeypatch: Any) -> None:
    monkeypatch.setattr(Counted, "key", property(lambda _: "k" * (MAX_KEY + 1)))

    with pytest.raises(PublishError, match="its key has 501 characters, the limit is 500"), transaction.atomic():
        publish(Counted(counter_id=uuid4(), number=1))

    assert not OutboxEvent.objects.exists()


def test_a_message_on_a_topic_that_is_no_events_is_a_dead_letter(processor: Processor) -> None:
    stray = Message(topic="sample.unheard", partition=0, offset=3, key=None, value=b"{}")

    processor.process([stray])

    dead = ParkedEvent.objects.dead().get()
    assert (dead.key, dead.error) == ("sample.unheard:0:3", "sample.unheard is no registered event")
