"""Golden samples: one message of each version, every field present, the same on every machine, kept for ever."""

from typing import Any
from uuid import NAMESPACE_OID, uuid5

from eventbus.catalog.schemas import Schema

MOMENT = "2026-01-02T03:04:05.678901Z"


def sample_of(schema: Schema) -> dict[str, Any]:
    """A message that the schema describes, its values made from the names of its fields."""
    envelope = {"version": schema["x-version"]}
    return {name: envelope.get(name) or _value(name, part) for name, part in schema["properties"].items()}


def _value(name: str, schema: Schema) -> Any:
    if "examples" in schema:
        return schema["examples"][0]
    if "x-extensible-enum" in schema:
        return schema["x-extensible-enum"][0]
    kind = kind_of(schema)
    if kind == "object":
        return {inner: _value(inner, part) for inner, part in schema["properties"].items()}
    if kind == "array":
        return [_value(name, schema["items"])]
    if kind == "string":
        return {"uuid": str(uuid5(NAMESPACE_OID, name)), "date-time": MOMENT}.get(schema.get("format", ""), name)
    return {"integer": 1, "boolean": True}[kind]


def kind_of(schema: Schema) -> str:
    """The type of a field's values that are not null."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return str(next(kind for kind in kinds if kind != "null"))


def is_nullable(schema: Schema) -> bool:
    """Whether the field may be null."""
    return isinstance(schema["type"], list)
