"""docs/events.md: the catalog for people."""

import json
from collections.abc import Iterator

from eventbus.catalog.entries import Entry
from eventbus.catalog.samples import is_nullable, kind_of
from eventbus.catalog.schemas import Schema

ENVELOPE = ("id", "version", "timestamp", "sequence")
HEAD = """# Events

What the rooms tell each other, and anyone who listens. Written by `python manage.py check_events --write` from the
event classes and [events/glossary.toml](events/glossary.toml); `make check` compares. The same as
[AsyncAPI 3](asyncapi.json), and as JSON Schema with golden samples in `events/`.

The value is one flat JSON object. Our messages hold every field, a nullable one as `null`. A field with a default may
be missing in messages of an older minor version or of another producer. Accept unknown fields, and unknown values of an
enum. The topic is the event's type, behind `KAFKA_TOPIC_PREFIX` where a platform has one. The headers are those of
CloudEvents 1.0 in Kafka's binary mode, and W3C's `traceparent`.
"""


def reference_of(entries: list[Entry], schemas: dict[str, dict[int, Schema]]) -> str:
    """The page: what every event holds, an index, then event by event."""
    first = schemas[entries[0].spec.topic][entries[0].spec.major]
    envelope = {**first, "properties": {name: first["properties"][name] for name in ENVELOPE}}
    index = [
        f"| [{entry.spec.topic}](#{entry.spec.topic.replace('.', '')}) | {entry.spec.version} | {entry.producer} "
        f"| {' · '.join(entry.consumers) or 'nobody here'} |"
        for entry in entries
    ]
    parts = [
        HEAD,
        "## What every event holds\n",
        _table(envelope),
        "## Index\n",
        "| topic | version | told by | answered by |\n|---|---|---|---|",
        "\n".join(index) + "\n",
        *[_section(entry, schemas[entry.spec.topic]) for entry in entries],
    ]
    return "\n".join(parts).rstrip() + "\n"


def _section(entry: Entry, schemas: dict[int, Schema]) -> str:
    spec, schema = entry.spec, schemas[entry.spec.major]
    own = {name: part for name, part in schema["properties"].items() if name not in ENVELOPE}
    answers = [f"- {answer.room}: {answer.does}" for answer in entry.answers] or ["- nobody here"]
    place = [
        f"Version {spec.version}",
        f"key `{schema['x-key']}`",
        f"aggregate {spec.aggregate} (`{':'.join(schema['x-aggregate-id'])}`)",
        f"kept {spec.retention_days} days",
        f"told by {entry.producer}",
        _files(schema),
    ]
    lines = [
        f"## {spec.topic}\n",
        f"{schema['description']}\n",
        " · ".join(place) + "\n",
        "Answered by:\n",
        "\n".join(answers) + "\n",
        *[
            f"Version {major} is still read, and is lifted to {spec.major} before a handler sees it: {_files(older)}\n"
            for major, older in schemas.items()
            if major < spec.major
        ],
        _table({**schema, "properties": own}),
    ]
    return "\n".join(lines)


def _files(schema: Schema) -> str:
    folder, version = f"events/{schema['x-topic']}", schema["x-version"]
    return f"[schema]({folder}/{version.partition('.')[0]}.json) · [sample]({folder}/{version}.sample.json)"


def _table(schema: Schema) -> str:
    rows = [
        f"| `{path}` | {_kind(part)} | {_when_missing(part, is_required=is_required)} | {part.get('description', '')} |"
        for path, part, is_required in _rows(schema, "")
    ]
    return "\n".join(["| field | type | when missing | meaning |", "|---|---|---|---|", *rows]) + "\n"


def _rows(schema: Schema, prefix: str) -> Iterator[tuple[str, Schema, bool]]:
    for name, part in schema["properties"].items():
        yield prefix + name, part, name in schema["required"]
        inner, path = (part["items"], f"{prefix}{name}[].") if kind_of(part) == "array" else (part, f"{prefix}{name}.")
        if kind_of(inner) == "object":
            yield from _rows(inner, path)


def _kind(schema: Schema) -> str:
    if kind_of(schema) == "array":
        kind = f"list of {_kind(schema['items'])}"
    elif "x-extensible-enum" in schema:
        kind = "enum: " + ", ".join(f"`{member}`" for member in schema["x-extensible-enum"])
    else:
        kind = schema.get("format") or kind_of(schema)
    return f"{kind}, or null" if is_nullable(schema) else kind


def _when_missing(schema: Schema, *, is_required: bool) -> str:
    if is_required:
        return "refused"
    return f"`{json.dumps(schema['default'])}`" if "default" in schema else "made by the reader"
