"""The wire: one flat camelCase JSON object, strict about what the class declares, indifferent to the rest."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from eventbus.events import Event, Wire, WireEnum, event, field, registered
from eventbus.exceptions import CatalogError, DecodeError, UnregisteredEventError


class Colour(WireEnum):
    RED = "red"


class Size(Wire):
    width_mm: int


def lift(raw: dict[str, Any]) -> dict[str, Any]:
    return {**raw, "paintedWith": raw["colour"], "version": "2.0"}


@event("sample.painted", version="2.1", key="thing_id", aggregate="thing", upcasters={1: lift})
class Painted(Event):
    thing_id: UUID
    colour: Colour = field(name="paintedWith")
    size: Size | None
    note: str = "none"


THING = UUID("0190a7b2-0000-7000-8000-000000000001")
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def painted(**fields: Any) -> Painted:
    return Painted(
        **{
            "id": "e-1",
            "timestamp": MOMENT,
            "sequence": 3,
            "thing_id": THING,
            "colour": Colour.RED,
            "size": Size(width_mm=7),
            **fields,
        }
    )


def decode(raw: dict[str, Any]) -> Event:
    return Painted.spec.decode(json.dumps(raw).encode(), fallback_id="t:0:9")


def test_the_value_is_one_flat_camel_case_object() -> None:
    assert json.loads(painted().encode()) == {
        "id": "e-1",
        "version": "2.1",
        "timestamp": "2026-01-02T03:04:05.678901Z",
        "sequence": 3,
        "thingId": str(THING),
        "paintedWith": "red",
        "size": {"widthMm": 7},
        "note": "none",
    }


def test_the_round_trip_is_byte_stable() -> None:
    value = painted().encode()

    assert Painted.spec.decode(value, fallback_id="") == painted()
    assert Painted.spec.decode(value, fallback_id="").encode() == value


def test_an_event_names_its_key_and_its_aggregate() -> None:
    assert (painted().key, painted().aggregate_id) == (str(THING), str(THING))


def test_new_events_have_time_ordered_ids_and_their_class_version() -> None:
    first = Painted(thing_id=THING, colour=Colour.RED, size=None)
    second = Painted(thing_id=THING, colour=Colour.RED, size=None)

    assert UUID(first.id).version == 7
    assert first.id < second.id
    assert first.version == "2.1"


def test_unknown_fields_are_ignored() -> None:
    raw = json.loads(painted().encode())

    assert decode({**raw, "invented": {"later": 1}}) == painted()


def test_an_unknown_enum_value_is_kept_and_is_no_known_member() -> None:
    raw = json.loads(painted().encode())

    read = decode({**raw, "paintedWith": "infrared"})

    assert isinstance(read, Painted)
    assert read.colour is not Colour.RED
    assert json.loads(read.encode())["paintedWith"] == "infrared"


def test_an_older_version_is_lifted_step_by_step() -> None:
    old = {"version": "1.0", "thingId": str(THING), "colour": "red", "size": None, "timestamp": MOMENT.isoformat()}

    read = decode({**old, "id": "e-1", "sequence": 3})

    assert read == painted(size=None, version="2.0")


@pytest.mark.parametrize("version", ["3.0", "0.9", "two", "", "99999.0"])
def test_a_major_version_nobody_reads_is_refused(version: str) -> None:
    raw = json.loads(painted().encode())
    with pytest.raises(DecodeError):
        decode({**raw, "version": version or "1"} if version else {**raw, "version": "", "paintedWith": 3})


def test_an_event_without_an_id_is_named_by_its_place() -> None:
    raw = json.loads(painted().encode())
    del raw["id"]

    assert decode(raw).id == "t:0:9"


def test_an_id_too_long_for_the_inbox_is_refused() -> None:
    with pytest.raises(DecodeError, match="longer than 100"):
        decode({**json.loads(painted().encode()), "id": "x" * 101})


@pytest.mark.parametrize("missing", ["thingId", "size", "paintedWith"])
def test_a_missing_field_without_a_default_is_refused(missing: str) -> None:
    raw = json.loads(painted().encode())
    del raw[missing]

    with pytest.raises(DecodeError, match=missing):
        decode(raw)


def test_events_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        painted().sequence = 4


def test_a_key_that_is_no_field_is_refused_at_declaration() -> None:
    with pytest.raises(CatalogError, match="no field 'nothing'"):

        @event("sample.wrong", version="1.0", key="nothing", aggregate="thing")
        class Wrong(Event):
            thing_id: UUID

    assert "sample.wrong" not in registered()


def test_a_topic_belongs_to_one_event() -> None:
    with pytest.raises(CatalogError, match=r"sample\.painted is already the topic of Painted"):

        @event("sample.painted", version="1.0", key="thing_id", aggregate="thing")
        class Other(Event):
            thing_id: UUID


def test_a_subclass_of_an_event_is_not_registered_by_its_parent() -> None:
    class Undecorated(Painted):
        pass

    with pytest.raises(UnregisteredEventError, match="Undecorated"):
        _ = Undecorated(thing_id=uuid4(), colour=Colour.RED, size=None).key
