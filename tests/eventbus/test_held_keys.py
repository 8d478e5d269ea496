"""manage.py held_keys: a person holds a key, lets it go on, or takes its first event out; each act is kept."""

from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from eventbus import operators
from eventbus.models import HeldKey, OperatorAction, OutboxEvent
from eventbus.outbox import publish
from tests.eventbus.sample import Counted

TOPIC = "sample.counted"

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bus")]


def held_keys(*words: str) -> str:
    out = StringIO()
    call_command("held_keys", *words, "--actor", "ann", stdout=out)
    return out.getvalue()


def acts() -> list[tuple[Any, ...]]:
    return list(OperatorAction.objects.order_by("id").values_list("action", "actor", "target", "reason"))


def test_a_key_is_held_listed_and_released_and_each_act_is_kept() -> None:
    held_keys("hold", TOPIC, "k1", "--reason", "wrong amounts")

    [line] = held_keys().splitlines()
    assert line.split()[:2] == [TOPIC, "k1"]
    assert line.endswith("wrong amounts")

    held_keys("release", TOPIC, "k1")

    assert held_keys() == "No key is held.\n"
    assert acts() == [
        ("hold", "ann", f"{TOPIC} k1 no event", "wrong amounts"),
        ("release", "ann", f"{TOPIC} k1 no event", ""),
    ]


def test_holding_a_held_key_changes_nothing() -> None:
    held_keys("hold", TOPIC, "k1", "--reason", "first")
    held_keys("hold", TOPIC, "k1", "--reason", "second")

    assert HeldKey.objects.get().reason == "first"
    assert len(acts()) == 1


def test_skip_takes_the_first_waiting_event_and_the_key_goes_on() -> None:
    counter = uuid4()
    with transaction.atomic():
        publish(*(Counted(counter_id=counter, number=n) for n in (1, 2)))
    first, second = OutboxEvent.objects.values_list("id", flat=True).order_by("id")
    operators.hold_key(topic=TOPIC, key=str(counter), actor="ann", reason="look")

    held_keys("skip", TOPIC, str(counter), "--reason", "wrong")

    assert list(OutboxEvent.objects.values_list("id", flat=True)) == [second]
    assert not HeldKey.objects.exists()
    assert acts()[-1] == ("skip", "ann", f"{TOPIC} {counter} outbox {first}", "wrong")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("hold", TOPIC, "k1"), "hold needs --reason"),
        (("skip", TOPIC, "k1"), "skip needs --reason"),
        (("release", TOPIC), "release needs a topic and a key"),
        (("release", TOPIC, "k1"), "is not held; nothing was changed"),
        (("hold", "sample.cuonted", "k1", "--reason", "x"), "No event is published on sample.cuonted"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(words: tuple[str, ...], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        held_keys(*words)

    assert not HeldKey.objects.exists()
    assert acts() == []
