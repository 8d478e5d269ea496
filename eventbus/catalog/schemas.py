"""An event class as JSON Schema 2020-12: self-contained, one for each topic and major version.

`required` names what every message of this major version holds; a field with a `default` may be missing in an older or
foreign message. Unknown properties and, in an `x-extensible-enum`, unknown values are to be accepted.
"""

from typing import Any

import msgspec
from msgspec import inspect

from eventbus.catalog.glossary import Glossary
from eventbus.events import MAX_ID_LENGTH, EventSpec
from eventbus.exceptions import CatalogError

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCALARS: dict[type[inspect.Type], Schema] = {
    inspect.BoolType: {"type": "boolean"},
    inspect.IntType: {"type": "integer"},
    inspect.StrType: {"type": "string"},
    inspect.UUIDType: {"type": "string", "format": "uuid"},
    inspect.DateTimeType: {"type": "string", "format": "date-time"},
}
BOUNDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
}
ARRAYS = inspect.VarTupleType | inspect.ListType | inspect.SetType | inspect.FrozenSetType


def schema_of(spec: EventSpec, glossary: Glossary) -> Schema:
    """The schema of the event's present major version."""
    info = inspect.type_info(spec.event_class)
    assert isinstance(info, inspect.StructType)
    wire_names = {field.name: field.encode_name for field in info.fields}
    body = _object(info, glossary)
    _require_version(body, spec.major)
    body["properties"]["id"]["maxLength"] = MAX_ID_LENGTH
    return {
        "$schema": DIALECT,
        "$id": f"urn:tributary:event:{spec.topic}:{spec.major}",
        "x-topic": spec.topic,
        "x-version": spec.version,
        "x-key": wire_names[spec.key],
        "x-aggregate": spec.aggregate,
        "x-aggregate-id": [wire_names[name] for name in spec.aggregate_id],
        "x-producer": spec.source.removeprefix("/"),
        **body,
    }


def _require_version(body: Schema, major: int) -> None:
    """A message that does not tell its version is read as 1.0, so every later one must tell it."""
    version = body["properties"]["version"]
    version["pattern"] = rf"^{major}(\.|$)"
    if major == 1:
        version["default"] = "1.0"
    else:
        version.pop("default", None)
        body["required"].insert(0, "version")


def _object(info: inspect.StructType, glossary: Glossary) -> Schema:
    return {
        "title": info.cls.__name__,
        "description": _wire_words(info),
        "type": "object",
        "properties": {field.encode_name: _property(field, glossary) for field in info.fields},
        "required": [field.encode_name for field in info.fields if field.required],
    }


def _property(field: inspect.Field, glossary: Glossary) -> Schema:
    schema = _type(field.type, glossary)
    if "description" not in schema:
        schema |= glossary.annotate(field.encode_name)
    if field.default is not msgspec.NODEFAULT:
        schema["default"] = msgspec.json.decode(msgspec.json.encode(field.default))
    return schema


def _type(info: inspect.Type, glossary: Glossary) -> Schema:
    if isinstance(info, inspect.UnionType):
        return _nullable(info, glossary)
    if isinstance(info, inspect.StructType):
        return _object(info, glossary)
    if isinstance(info, inspect.EnumType):
        known = [member.value for member in info.cls]
        return {"description": _docstring(info.cls), "type": "string", "x-extensible-enum": known}
    if isinstance(info, ARRAYS):
        items = _type(info.item_type, glossary)
        description = {"description": items["description"]} if "description" in items else {}
        return {**description, "type": "array", "items": items, **_bounds(info)}
    if type(info) in SCALARS:
        return {**SCALARS[type(info)], **_bounds(info)}
    raise CatalogError(f"an event cannot hold a {type(info).__name__}: nothing says how other languages would read it")


def _nullable(info: inspect.UnionType, glossary: Glossary) -> Schema:
    others = [member for member in info.types if not isinstance(member, inspect.NoneType)]
    if len(others) != 1:
        raise CatalogError("an event's field has one type, or that type and null")
    schema = _type(others[0], glossary)
    return {**schema, "type": [schema["type"], "null"]}


def _bounds(info: inspect.Type) -> Schema:
    bounds = {keyword: getattr(info, name, None) for name, keyword in BOUNDS.items()}
    return {keyword: value for keyword, value in bounds.items() if value is not None}


def _wire_words(info: inspect.StructType) -> str:
    """The docstring, with the fields it names called as on the wire."""
    text = _docstring(info.cls)
    for field in info.fields:
        text = text.replace(f"`{field.name}`", f"`{field.encode_name}`")
    return text


def _docstring(cls: type) -> str:
    return " ".join((cls.__doc__ or "").split())
