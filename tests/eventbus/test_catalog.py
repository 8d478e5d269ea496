"""check_events: every change that would break a reader is refused, every other one is written when asked."""

import io
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest
from django.core.management import CommandError, call_command

from eventbus.catalog.entries import platform_entries
from eventbus.catalog.glossary import Glossary
from eventbus.catalog.schemas import schema_of
from eventbus.events import Event, Wire, WireEnum, WireMeta, event
from eventbus.exceptions import CatalogError

TOPIC = "sample.shipped"
WRITE = "run manage.py check_events --write"
NEW_MAJOR = "or make version 2.0 with an upcaster from 1"


class Speed(WireEnum):
    """How fast."""

    SLOW = "slow"
    FAST = "fast"


class Parcel(Wire):
    """A part of what is shipped."""

    parcel_id: UUID
    grams: int


FIELDS: dict[str, Any] = {
    "order_id": UUID,
    "buyer_id": UUID,
    "speed": Speed,
    "grams": int,
    "note": str | None,
    "tags": tuple[str, ...],
    "code": Annotated[str, msgspec.Meta(max_length=8)],
    "parcels": tuple[Parcel, ...],
    "shipped_at": datetime,
    "insured": (bool, False),
}


def enum_of(*values: str) -> type[WireEnum]:
    return WireEnum("Speed", {value.upper(): value for value in values})  # type: ignore[call-arg,return-value]


def parcel_of(**fields: Any) -> type[Wire]:
    return WireMeta("Parcel", (Wire,), {"__annotations__": fields, "__module__": __name__})  # type: ignore[return-value]


@pytest.fixture
def docs(bus: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder of documents, and no event but those that the test declares."""
    monkeypatch.setattr("eventbus.events._registered", {})
    (tmp_path / "events").mkdir()
    return tmp_path


@pytest.fixture
def declare(docs: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., type[Event]]:
    """Declare the one event there is, with fields like FIELDS (None takes one away), and explain its fields."""

    def declare(topic: str = TOPIC, **options: Any) -> type[Event]:
        changed = {**FIELDS, **options.pop("fields", {})}
        fields = {name: given if isinstance(given, tuple) else (given,) for name, given in changed.items() if given}
        namespace = {
            "__annotations__": {name: annotation for name, (annotation, *_) in fields.items()},
            **{name: default[0] for name, (_, *default) in fields.items() if default},
            "__module__": __name__,
            "__doc__": options.pop("doc", "Goods left."),
        }
        monkeypatch.setattr("eventbus.events._registered", {})
        place = {"version": "1.0", "key": "order_id", "aggregate": "order", **options}
        shipped: type[Event] = WireMeta("Shipped", (Event,), namespace)  # type: ignore[assignment]
        event(topic, **place)(shipped)
        explain(docs)
        return shipped

    return declare


def explain(docs: Path, *others: str) -> None:
    """Give every field that the events have a meaning."""
    glossary = Glossary({})
    for entry in platform_entries():
        schema_of(entry.spec, glossary)
    lines = [f'{name} = "About {name}."\n' for name in [*sorted(glossary.asked), *others]]
    (docs / "events" / "glossary.toml").write_text("".join(lines))


def check(docs: Path, **options: Any) -> list[str]:
    """What check_events complains of, line by line; nothing when it is content."""
    complaints = io.StringIO()
    try:
        call_command("check_events", docs=docs, stdout=io.StringIO(), stderr=complaints, **options)
    except CommandError:
        lines = complaints.getvalue().splitlines()
        assert lines != []
        return lines
    assert complaints.getvalue() == ""
    return []


def contents(docs: Path) -> dict[str, str]:
    """Every generated file."""
    return {
        str(file.relative_to(docs)): file.read_text()
        for file in docs.rglob("*.*")
        if file.suffix in {".json", ".md"} and file.is_file()
    }


def refused(docs: Path) -> list[str]:
    """What is refused, by the check and by --write, which writes nothing then."""
    before = contents(docs)
    complaints = check(docs)
    assert check(docs, write=True) == complaints
    assert contents(docs) == before
    return complaints


def test_a_new_event_is_written_when_asked(docs: Path, declare: Any) -> None:
    declare()

    assert check(docs) == [
        f"events/sample.shipped/1.json is missing; {WRITE}",
        f"events/sample.shipped/1.0.sample.json is missing; {WRITE}",
        f"asyncapi.json is missing; {WRITE}",
        f"events.md is missing; {WRITE}",
    ]
    assert contents(docs) == {}

    assert check(docs, write=True) == []
    assert sorted(contents(docs)) == [
        "asyncapi.json",
        "events.md",
        "events/sample.shipped/1.0.sample.json",
        "events/sample.shipped/1.json",
    ]
    assert check(docs) == []


def test_a_schema_says_what_a_reader_must_know(docs: Path, declare: Any) -> None:
    declare()
    check(docs, write=True)

    schema = json.loads((docs / "events" / TOPIC / "1.json").read_text())

    assert {name: schema[name] for name in ("$id", "x-key", "x-aggregate-id", "x-producer", "description")} == {
        "$id": "urn:tributary:event:sample.shipped:1",
        "x-key": "orderId",
        "x-aggregate-id": ["orderId"],
        "x-producer": "tests",
        "description": "Goods left.",
    }
    assert schema["required"] == [
        "orderId", "buyerId", "speed", "grams", "note", "tags", "code", "parcels", "shippedAt",
    ]  # fmt: skip
    properties = schema["properties"]
    assert properties["orderId"] == {"type": "string", "format": "uuid", "description": "About orderId."}
    assert properties["note"] == {"type": ["string", "null"], "description": "About note."}
    assert properties["insured"] == {"type": "boolean", "description": "About insured.", "default": False}
    assert properties["speed"] == {
        "description": "How fast.",
        "type": "string",
        "x-extensible-enum": ["slow", "fast"],
    }
    assert properties["code"] == {"type": "string", "maxLength": 8, "description": "About code."}
    assert properties["shippedAt"]["format"] == "date-time"
    assert properties["parcels"]["items"]["required"] == ["parcelId", "grams"]


BREAKING = {
    "a field is removed": (
        {"buyer_id": None},
        f"the field buyerId is removed; keep it, {NEW_MAJOR}",
    ),
    "a field with a default is removed": (
        {"insured": None},
        f"the field insured is removed; keep it, {NEW_MAJOR}",
    ),
    "a field is retyped": (
        {"grams": str},
        f"the field grams is string and was integer; keep its type, {NEW_MAJOR}",
    ),
    "a format is lost": (
        {"buyer_id": str},
        f"the field buyerId is string and was string (uuid); keep its type, {NEW_MAJOR}",
    ),
    "an enum becomes text": (
        {"speed": str},
        f"the field speed is string and was enum; keep its type, {NEW_MAJOR}",
    ),
    "a list's items are retyped": (
        {"tags": tuple[int, ...]},
        f"the field tags[] is integer and was string; keep its type, {NEW_MAJOR}",
    ),
    "a bound is narrowed": (
        {"code": Annotated[str, msgspec.Meta(max_length=4)]},
        f"the field code is string (maxLength 4) and was string (maxLength 8); keep its type, {NEW_MAJOR}",
    ),
    "a bound is new": (
        {"grams": Annotated[int, msgspec.Meta(ge=0)]},
        f"the field grams is integer (minimum 0) and was integer; keep its type, {NEW_MAJOR}",
    ),
    "a bound is widened, which readers may rely on": (
        {"code": Annotated[str, msgspec.Meta(max_length=16)]},
        f"the field code is string (maxLength 16) and was string (maxLength 8); keep its type, {NEW_MAJOR}",
    ),
    "a list becomes one": (
        {"tags": str},
        f"the field tags is string and was array of string; keep its type, {NEW_MAJOR}",
    ),
    "an object becomes text": (
        {"parcels": tuple[str, ...]},
        f"the field parcels[] is string and was object; keep its type, {NEW_MAJOR}",
    ),
    "null is no longer allowed": (
        {"note": str},
        f"the field note may no longer be null; let it be null, as it is in older messages, {NEW_MAJOR}",
    ),
    "null is allowed": (
        {"grams": int | None},
        f"the field grams may be null now; never let it be null, as readers were told, {NEW_MAJOR}",
    ),
    "an enum's member is removed": (
        {"speed": enum_of("slow")},
        f"speed no longer knows the value 'fast'; keep it, {NEW_MAJOR}",
    ),
    "a new field has no default": (
        {"weight_class": int},
        f"the new field weightClass is missing in every older message; give it a default, {NEW_MAJOR}",
    ),
    "a default is removed": (
        {"insured": bool},
        f"the field insured has lost its default; give it back, {NEW_MAJOR}",
    ),
    "a default is another": (
        {"insured": (bool, True)},
        f"the default of insured is True and was False; put it back, {NEW_MAJOR}",
    ),
    "an inner field is removed": (
        {"parcels": tuple[parcel_of(parcel_id=UUID), ...]},  # type: ignore[misc]
        f"the field parcels[].grams is removed; keep it, {NEW_MAJOR}",
    ),
    "an inner field is new without a default": (
        {"parcels": tuple[parcel_of(parcel_id=UUID, grams=int, litres=int), ...]},  # type: ignore[misc]
        f"the new field parcels[].litres is missing in every older message; give it a default, {NEW_MAJOR}",
    ),
}


@pytest.mark.parametrize(("fields", "complaint"), BREAKING.values(), ids=BREAKING)
def test_a_change_that_breaks_readers_is_refused(
    docs: Path, declare: Any, fields: dict[str, Any], complaint: str
) -> None:
    declare()
    check(docs, write=True)

    declare(fields=fields)

    complaints = [line for line in refused(docs) if "cannot read its golden sample" not in line]
    assert complaints == [f"sample.shipped 1.0: {complaint}"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"key": "buyer_id", "aggregate_id": "order_id"}, "the key is 'buyerId' and was 'orderId'"),
        ({"aggregate": "parcel"}, "the aggregate is 'parcel' and was 'order'"),
        ({"aggregate_id": "buyer_id"}, "the aggregate's id is ['buyerId'] and was ['orderId']"),
    ],
    ids=["key", "aggregate", "aggregate's id"],
)
def test_a_change_of_place_is_refused(docs: Path, declare: Any, options: dict[str, Any], complaint: str) -> None:
    declare()
    check(docs, write=True)

    declare(**options)

    assert refused(docs) == [f"sample.shipped 1.0: {complaint}; put it back, {NEW_MAJOR}"]


def test_a_field_called_otherwise_on_the_wire_is_one_gone_and_one_new(docs: Path, declare: Any) -> None:
    declare()
    check(docs, write=True)

    declare(fields={"grams": None, "weight": int})

    removed, new, unreadable = refused(docs)
    assert removed == f"sample.shipped 1.0: the field grams is removed; keep it, {NEW_MAJOR}"
    assert new.startswith("sample.shipped 1.0: the new field weight is missing in every older message")
    assert unreadable.startswith("sample.shipped 1.0: cannot read its golden sample 1.0: ")


def test_a_change_of_topic_is_refused(docs: Path, declare: Any) -> None:
    declare()
    check(docs, write=True)

    declare(topic="sample.sent")

    gone = "no event has this topic any more; bring it back, or delete its folder when nobody reads it"
    assert refused(docs) == [f"sample.shipped: {gone}"]


def test_a_new_field_needs_a_new_minor_version_so_that_the_older_sample_stays(docs: Path, declare: Any) -> None:
    declare()
    check(docs, write=True)
    sample = (docs / "events" / TOPIC / "1.0.sample.json").read_text()

    declare(fields={"gift": (bool, False)})
    assert refused(docs) == ["sample.shipped 1.0: the field gift is new; raise the version to 1.1"]

    declare(fields={"gift": (bool, False)}, version="1.1")
    assert check(docs)[0] == f"sample.shipped 1.1: the field gift is new; {WRITE}"
    assert check(docs, write=True) == []
    assert check(docs) == []
    assert (docs / "events" / TOPIC / "1.0.sample.json").read_text() == sample
    assert json.loads((docs / "events" / TOPIC / "1.1.sample.json").read_text())["gift"] is True


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"fields": {"speed": enum_of("slow", "fast", "instant")}}, "speed knows the value 'instant' now"),
        ({"fields": {"grams": (int, 0)}}, "the field grams has a default now"),
    ],
    ids=["a new member", "a new default"],
)
def test_what_breaks_nobody_is_written_when_asked(
    docs: Path, declare: Any, options: dict[str, Any], complaint: str
) -> None:
    declare()
    check(docs, write=True)

    declare(**options)

    assert check(docs)[0] == f"sample.shipped 1.0: {complaint}; {WRITE}"
    assert check(docs, write=True) == []
    assert check(docs) == []


def test_a_new_explanation_is_written_when_asked(docs: Path, declare: Any) -> None:
    declare()
    check(docs, write=True)

    declare(doc="Goods left the house.")

    stale = ("events/sample.shipped/1.json", "asyncapi.json", "events.md")
    assert check(docs) == [f"{name} is not what the code says; {WRITE}" for name in stale]
    assert check(docs, write=True) == []
    assert "Goods left the house." in (docs / "events.md").read_text()


def heavier(raw: dict[str, Any]) -> dict[str, Any]:
    """Version 2 counts in kilograms."""
    raw["kilograms"] = raw.pop("grams") // 1000
    return raw


KILOGRAMS = {"grams": None, "kilograms": int}


def test_a_new_major_version_may_break_when_an_upcaster_reads_the_older_one(docs: Path, declare: Any) -> None:
    declare()
    check(docs, write=True)
    before = contents(docs)

    declare(fields=KILOGRAMS, version="2.0", upcasters={1: heavier})

    assert check(docs, write=True) == []
    assert check(docs) == []
    after = contents(docs)
    assert {name: after[name] for name in before if TOPIC in name} == {
        name: text for name, text in before.items() if TOPIC in name
    }
    assert json.loads(after[f"events/{TOPIC}/2.json"])["required"][:2] == ["version", "orderId"]
    assert f"[sample](events/{TOPIC}/1.0.sample.json)" in after["events.md"]


def test_a_new_major_version_without_an_upcaster_is_refused(docs: Path, declare: Any) -> None:
    declare()
    check(docs, write=True)

    declare(fields=KILOGRAMS, version="2.0")

    missing, unreadable = refused(docs)
    assert missing == "sample.shipped 2.0: no upcaster from 1; write one, messages of it are on the topic"
    assert unreadable.startswith("sample.shipped 2.0: cannot read its golden sample 1.0: ")


def test_a_jump_over_a_version_needs_the_whole_ladder(docs: Path, declare: Any) -> None:
    declare()
    check(docs, write=True)

    declare(fields=KILOGRAMS, version="3.0", upcasters={1: heavier})

    missing, unreadable = refused(docs)
    assert missing == "sample.shipped 3.0: no upcaster from 2; write one, messages of it are on the topic"
    assert unreadable.startswith("sample.shipped 3.0: cannot read its golden sample 1.0: ")


def test_an_upcaster_is_kept_for_ever(docs: Path, declare: Any) -> None:
    declare()
    check(docs, write=True)
    declare(fields=KILOGRAMS, version="2.0", upcasters={1: heavier})
    check(docs, write=True)

    declare(fields=KILOGRAMS, version="2.0")

    missing, unreadable = refused(docs)
    assert missing == "sample.shipped 2.0: no upcaster from 1; write one, messages of it are on the topic"
    assert unreadable.startswith("sample.shipped 2.0: cannot read its golden sample 1.0: ")


def test_a_golden_sample_changed_by_hand_is_noticed(docs: Path, declare: Any) -> None:
    declare()
    check(docs, write=True)
    file = docs / "events" / TOPIC / "1.0.sample.json"
    file.write_text(file.read_text().replace('"grams"', '"grammes"'))

    assert check(docs) != []


def test_an_upcaster_that_does_not_give_what_the_class_needs_is_refused(docs: Path, declare: Any) -> None:
    declare()
    check(docs, write=True)

    declare(fields=KILOGRAMS, version="2.0", upcasters={1: dict})

    [unreadable] = refused(docs)
    assert unreadable.startswith("sample.shipped 2.0: cannot read its golden sample 1.0: ")
    assert "kilograms" in unreadable


def test_an_older_version_is_refused(docs: Path, declare: Any) -> None:
    declare(version="1.1")
    check(docs, write=True)

    declare(version="1.0")

    assert refused(docs) == ["sample.shipped: the version is 1.0 and was 1.1: versions only rise"]


def test_a_golden_sample_that_is_gone_is_missed(docs: Path, declare: Any) -> None:
    declare()
    check(docs, write=True)
    (docs / "events" / TOPIC / "1.0.sample.json").unlink()

    assert refused(docs) == ["sample.shipped 1.0: its golden sample is gone; restore it"]


def test_a_field_without_a_meaning_and_a_meaning_without_a_field_are_refused(docs: Path, declare: Any) -> None:
    declare()
    explain(docs, "nothing")
    file = docs / "events" / "glossary.toml"
    file.write_text(file.read_text().replace("grams = ", "grammes = "))

    assert refused(docs) == [
        "the field grams has no meaning; give it one in glossary.toml",
        "no event has a field grammes; take it out of glossary.toml",
        "no event has a field nothing; take it out of glossary.toml",
    ]


@pytest.mark.parametrize("annotation", [dict[str, int], int | str, float])
def test_a_type_that_other_languages_read_differently_is_refused(declare: Any, annotation: Any) -> None:
    with pytest.raises(CatalogError):
        declare(fields={"strange": annotation})
