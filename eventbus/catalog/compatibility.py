"""What changed between two schemas of one major version, and whether somebody's reader or old messages break by it.

Readers are of both kinds: our class must read every message that is still on the topic, and the readers of other teams,
made from the older schema, must read ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from eventbus.catalog.samples import is_nullable, kind_of
from eventbus.catalog.schemas import Schema

DESCRIPTIVE = {"title", "description", "examples", "default"}
COMPARED_APART = {"type", "properties", "required", "items", "x-extensible-enum"}
PLACES = {
    "x-topic": "topic",
    "x-key": "key",
    "x-aggregate": "aggregate",
    "x-aggregate-id": "aggregate's id",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One change of a schema; `remedy` is empty when it breaks nobody, `is_new_field` when messages have more now."""

    what: str
    remedy: str = ""
    is_new_field: bool = False


def differences(before: Schema, after: Schema) -> list[Difference]:
    """Every change that a reader or a message could feel; texts that only explain are not compared."""
    moved = [
        Difference(f"the {name} is {after[place]!r} and was {before[place]!r}", "put it back")
        for place, name in PLACES.items()
        if before[place] != after[place]
    ]
    return [*moved, *_objects(before, after, "")]


def _objects(before: Schema, after: Schema, path: str) -> Iterator[Difference]:
    old, new = before["properties"], after["properties"]
    for name in old:
        if name not in new:
            yield Difference(f"the field {path}{name} is removed", "keep it")
        else:
            yield from _fields(old[name], new[name], path + name)
            yield from _presence(name, before, after, path)
    for name in [name for name in new if name not in old]:
        if name in after["required"]:
            yield Difference(f"the new field {path}{name} is missing in every older message", "give it a default")
        else:
            yield Difference(f"the field {path}{name} is new", is_new_field=True)


def _presence(name: str, before: Schema, after: Schema, path: str) -> Iterator[Difference]:
    """Whether the field may still be missing, and what it means then."""
    old, new = before["properties"][name], after["properties"][name]
    if name not in before["required"] and name in after["required"]:
        yield Difference(f"the field {path}{name} has lost its default", "give it back")
    elif name in before["required"] and name not in after["required"]:
        yield Difference(f"the field {path}{name} has a default now")
    elif (old.get("default"), "default" in old) != (new.get("default"), "default" in new):
        what = f"the default of {path}{name} is {new.get('default')!r} and was {old.get('default')!r}"
        yield Difference(what, "put it back")


def _fields(before: Schema, after: Schema, path: str) -> Iterator[Difference]:
    if _shape(before) != _shape(after):
        yield Difference(f"the field {path} is {describe(after)} and was {describe(before)}", "keep its type")
        return
    if is_nullable(before) and not is_nullable(after):
        yield Difference(f"the field {path} may no longer be null", "let it be null, as it is in older messages")
    if is_nullable(after) and not is_nullable(before):
        yield Difference(f"the field {path} may be null now", "never let it be null, as readers were told")
    yield from _members(before, after, path)
    if kind_of(before) == "object":
        yield from _objects(before, after, f"{path}.")
    if kind_of(before) == "array":
        yield from _fields(before["items"], after["items"], f"{path}[]")


def _members(before: Schema, after: Schema, path: str) -> Iterator[Difference]:
    old, new = before.get("x-extensible-enum", []), after.get("x-extensible-enum", [])
    for member in old:
        if member not in new:
            yield Difference(f"{path} no longer knows the value {member!r}", "keep it")
    for member in new:
        if member not in old:
            yield Difference(f"{path} knows the value {member!r} now")


def _shape(schema: Schema) -> Schema:
    """What must not change: the type but for null, the format, every bound."""
    bounds = {name: value for name, value in schema.items() if name not in DESCRIPTIVE | COMPARED_APART}
    return {**bounds, "kind": kind_of(schema), "is an enum": "x-extensible-enum" in schema}


def describe(schema: Schema) -> str:
    """A field's type for people."""
    kind = "enum" if "x-extensible-enum" in schema else kind_of(schema)
    bounds = [
        str(value) if name == "format" else f"{name} {value}"
        for name, value in schema.items()
        if name not in DESCRIPTIVE | COMPARED_APART
    ]
    inner = f" of {describe(schema['items'])}" if kind == "array" else ""
    return " ".join([kind + inner, *([f"({', '.join(bounds)})"] if bounds else [])])
