"""Dead letters: told to other tools, and taken care of from the command line."""

import json
from io import StringIO
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from eventbus.exceptions import DomainError
from eventbus.models import OperatorAction, OutboxEvent, ParkedEvent
from eventbus.processing import Processor
from eventbus.topics import topic_plans
from tests.eventbus.conftest import message
from tests.eventbus.sample import numbers, troubles

COUNTER = uuid4()


def command(*arguments: object) -> str:
    out = StringIO()
    call_command("dead_letters", *map(str, arguments), "--actor", "ann", stdout=out)
    return out.getvalue()


@pytest.fixture
def dead(processor: Processor) -> ParkedEvent:
    troubles[1] = lambda: DomainError("the rule says no")
    processor.process([message(COUNTER, 1, headers={"ce_type": "sample.counted"}), message(COUNTER, 2)])
    troubles.clear()
    return ParkedEvent.objects.dead().get()


def test_a_dead_letter_is_published_with_its_bytes_and_the_reasons(dead: ParkedEvent) -> None:
    row = OutboxEvent.objects.get()

    assert (row.topic, row.key) == ("sample.counted.dlq", str(COUNTER))
    assert bytes(row.payload) == bytes(dead.payload or b"")
    assert row.headers == {
        "ce_type": "sample.counted",
        "dlq_topic": "sample.counted",
        "dlq_partition": "0",
        "dlq_offset": str(dead.offset),
        "dlq_group": "sample-consumer-group",
        "dlq_exception": "eventbus.exceptions.DomainError",
        "dlq_message": "the rule says no",
        "dlq_attempts": "1",
    }


def test_bytes_that_are_no_event_are_published_as_they_came(processor: Processor) -> None:
    processor.process([message(value=b"{broken")])

    assert bytes(OutboxEvent.objects.get().payload) == b"{broken"


def test_a_head_that_dies_after_its_retries_is_published_once(processor: Processor) -> None:
    troubles[1] = lambda: RuntimeError("boom")
    processor.process([message(COUNTER, 1)])
    for _ in range(4):
        ParkedEvent.objects.filter(state="retrying").update(next_attempt_at="2020-01-01T00:00Z")
        processor.retry_due()

    [row] = OutboxEvent.objects.all()
    assert row.headers["dlq_attempts"] == "3"


def test_every_topic_has_one_for_its_dead_letters() -> None:
    plans = {plan.name: plan for plan in topic_plans()}

    assert plans["payment.completed.dlq"].partitions == 1
    assert {name.removesuffix(".dlq") for name in plans} == {name for name in plans if not name.endswith(".dlq")}


def test_list_and_show_tell_what_an_operator_needs(dead: ParkedEvent) -> None:
    assert f"sample.counted:0:{dead.offset}" in command()
    assert "the rule says no" in command("list", "--group", "sample-consumer-group")
    assert command("list", "--topic", "other").strip() == "There is no dead letter."
    shown = command("show", dead.pk)
    assert "behind    1 events" in shown
    assert '"number":1' in shown
    assert "Traceback" in shown


def test_retry_takes_effect_with_what_waited_behind(dead: ParkedEvent, processor: Processor) -> None:
    command("retry", dead.pk)
    processor.retry_due()

    assert numbers(COUNTER) == [1, 2]
    assert OperatorAction.objects.get().actor == "ann"


def test_retry_all_stops_at_its_limit(processor: Processor) -> None:
    processor.process([message(uuid4(), n, value=b"{") for n in range(5)])

    told = command("retry", "--all", "--limit", 3, "--per-second", 0.5).strip()

    assert told == "retry: 3 dead letters will be tried, the last in 6 s."
    assert ParkedEvent.objects.dead().count() == 2


def test_retry_all_spreads_the_first_attempts(processor: Processor) -> None:
    processor.process([message(uuid4(), n, value=b"{") for n in range(4)])

    command("retry", "--all", "--per-second", 0.1)

    due = list(ParkedEvent.objects.order_by("id").values_list("next_attempt_at", flat=True))
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(due)]
    assert [round(gap) for gap in gaps] == [10, 10, 10]
    assert processor.retry_due() == 1


def test_retry_all_chooses_by_error_and_time(processor: Processor) -> None:
    troubles.update({1: lambda: DomainError("no"), 2: lambda: DomainError("no")})
    processor.process([message(number=1), message(number=2), message(value=b"{")])
    old, young, unreadable = ParkedEvent.objects.dead().order_by("id")
    ParkedEvent.objects.filter(pk=old.pk).update(parked_at="2026-01-01T00:00Z")

    command("retry", "--all", "--error", "DomainError", "--parked-before", "2026-01-02")
    assert set(ParkedEvent.objects.dead()) == {young, unreadable}
    command("retry", "--all", "--error", "eventbus.exceptions.DomainError", "--parked-after", "2026-01-02T00:00+00:00")
    assert set(ParkedEvent.objects.dead()) == {unreadable}
    assert command("retry", "--all", "--error", "Error").strip() == "retry: 0 dead letters will be tried."


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--parked-after", "yesterday"], "is no time like"),
        (["--per-second", 0], "above 0"),
        (["--limit", 0], "least 1"),
    ],
)
def test_bounds_that_make_no_sense_change_nothing(dead: ParkedEvent, flags: list[object], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        command("retry", "--all", *flags)

    assert ParkedEvent.objects.dead().count() == 1


def test_an_edited_value_is_tried_at_once(dead: ParkedEvent, processor: Processor, tmp_path: Path) -> None:
    value = json.loads(bytes(dead.payload or b""))
    file = tmp_path / "value.json"
    file.write_text(json.dumps({**value, "number": 7}))

    command("edit", dead.pk, "--file", file, "--reason", "wrong number")
    processor.retry_due()

    assert numbers(COUNTER) == [7, 2]
    assert list(OperatorAction.objects.order_by("id").values_list("action", flat=True)) == ["edit", "retry"]


def test_an_edit_that_cannot_be_read_changes_nothing(dead: ParkedEvent, tmp_path: Path) -> None:
    file = tmp_path / "value.json"
    file.write_text("{}")
    with pytest.raises(CommandError, match="Nothing was changed"):
        command("edit", dead.pk, "--file", file, "--reason", "try")

    assert bytes(ParkedEvent.objects.dead().get().payload or b"") == bytes(dead.payload or b"")
    assert not OperatorAction.objects.exists()


def test_an_edit_does_not_borrow_the_id_of_an_event_that_was_handled(
    dead: ParkedEvent, processor: Processor, tmp_path: Path
) -> None:
    """It would be a duplicate, and be gone without an effect."""
    handled = message(number=3)
    processor.process([handled])
    file = tmp_path / "value.json"
    file.write_bytes(handled.value or b"")

    with pytest.raises(CommandError, match=r"Nothing was changed: its id .* is that of another event"):
        command("edit", dead.pk, "--file", file, "--reason", "copied")

    assert bytes(ParkedEvent.objects.dead().get().payload or b"") == bytes(dead.payload or b"")


def test_discard_needs_a_reason_and_frees_the_key(dead: ParkedEvent, processor: Processor) -> None:
    with pytest.raises(CommandError, match="needs --reason"):
        command("discard", dead.pk)
    assert ParkedEvent.objects.dead().exists()

    command("discard", dead.pk, "--reason", "a test")
    processor.retry_due()

    assert numbers(COUNTER) == [2]


@pytest.mark.parametrize("arguments", [["retry"], ["discard", "--reason", "x"], ["show"]])
def test_without_ids_nothing_happens_unless_all_is_said(dead: ParkedEvent, arguments: list[str]) -> None:
    with pytest.raises(CommandError, match="or say --all"):
        command(*arguments)

    assert ParkedEvent.objects.dead().count() == 1


def test_an_unknown_id_is_named_and_nothing_is_changed(dead: ParkedEvent) -> None:
    with pytest.raises(CommandError, match="no dead letter 999999; nothing was changed"):
        command("retry", dead.pk, 999999)

    assert ParkedEvent.objects.dead().count() == 1
