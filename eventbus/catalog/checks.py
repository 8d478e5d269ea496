"""The catalog on disk against the code: what differs, what of it is refused, and how the rest is written.

docs/asyncapi.json, docs/events.md           always what the code says
docs/events/<topic>/<major>.json             the schema of each major version; an older one stays as it was
docs/events/<topic>/<version>.sample.json    written once, never changed: what was on the topic must be read for ever
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eventbus.catalog.asyncapi import document_of
from eventbus.catalog.compatibility import differences
from eventbus.catalog.entries import Entry
from eventbus.catalog.glossary import Glossary
from eventbus.catalog.reference import reference_of
from eventbus.catalog.samples import sample_of
from eventbus.catalog.schemas import Schema, schema_of
from eventbus.events import EventSpec
from eventbus.exceptions import DecodeError

WRITE = "run manage.py check_events --write"
SAMPLE = ".sample.json"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the answer; one that `is_refused` needs a person, any other is settled by --write."""

    text: str
    is_refused: bool = True


@dataclass(slots=True)
class Comparison:
    """What was found, and the files as they should be."""

    findings: list[Finding] = field(default_factory=list)
    files: dict[Path, str] = field(default_factory=dict)

    @property
    def refused(self) -> list[Finding]:
        """What --write does not settle."""
        return [finding for finding in self.findings if finding.is_refused]


def compare(docs: Path, entries: list[Entry]) -> Comparison:
    """The catalog of these events against the files in the folder `docs`."""
    glossary = Glossary.read(docs / "events" / "glossary.toml")
    result = Comparison()
    schemas: dict[str, dict[int, Schema]] = {}
    samples: dict[str, Any] = {}
    for entry in entries:
        folder = docs / "events" / entry.spec.topic
        committed = committed_schemas(folder)
        present = schema_of(entry.spec, glossary)
        result.findings += _judge(entry.spec, folder, committed, present)
        older = {major: schema for major, schema in committed.items() if major < entry.spec.major}
        schemas[entry.spec.topic] = {**older, entry.spec.major: present}
        result.files[folder / f"{entry.spec.major}.json"] = _text(present)
        for schema in schemas[entry.spec.topic].values():
            file = folder / f"{schema['x-version']}{SAMPLE}"
            samples[schema["$id"]] = json.loads(file.read_text()) if file.is_file() else sample_of(schema)
            result.files.setdefault(file, _text(samples[schema["$id"]]))
    result.files[docs / "asyncapi.json"] = _text(document_of(entries, schemas, samples))
    result.files[docs / "events.md"] = reference_of(entries, schemas)
    result.findings += [*_judge_glossary(glossary), *_judge_topics(docs, entries)]
    if not result.refused:
        result.findings += _stale(docs, result.files)
    return result


def write(comparison: Comparison) -> list[Path]:
    """Write the files that differ; those written."""
    written = [file for file, text in comparison.files.items() if not file.is_file() or file.read_text() != text]
    for file in written:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(comparison.files[file])
    return written


def committed_schemas(folder: Path) -> dict[int, Schema]:
    """The schemas on disk by major version, oldest first."""
    found = {int(file.stem): json.loads(file.read_text()) for file in folder.glob("*.json") if file.stem.isdecimal()}
    return dict(sorted(found.items()))


def _judge(spec: EventSpec, folder: Path, committed: dict[int, Schema], present: Schema) -> list[Finding]:
    return [
        *_judge_version(spec, committed),
        *_judge_change(spec, committed.get(spec.major), present),
        *_judge_upcasters(spec, committed),
        *_judge_samples(spec, folder, committed),
    ]


def _judge_version(spec: EventSpec, committed: dict[int, Schema]) -> list[Finding]:
    latest = max((_version(schema["x-version"]) for schema in committed.values()), default=(0, 0))
    if _version(spec.version) >= latest:
        return []
    was = ".".join(map(str, latest))
    return [Finding(f"{spec.topic}: the version is {spec.version} and was {was}: versions only rise")]


def _judge_change(spec: EventSpec, before: Schema | None, present: Schema) -> list[Finding]:
    if before is None:
        return []
    findings = []
    for difference in differences(before, present):
        text = f"{spec.topic} {spec.version}: {difference.what}"
        if difference.remedy:
            upcaster = f"version {spec.major + 1}.0 with an upcaster from {spec.major}"
            findings.append(Finding(f"{text}; {difference.remedy}, or make {upcaster}"))
        elif difference.is_new_field and _version(spec.version) <= _version(before["x-version"]):
            major, minor = _version(before["x-version"])
            findings.append(Finding(f"{text}; raise the version to {major}.{minor + 1}"))
        else:
            findings.append(Finding(f"{text}; {WRITE}", is_refused=False))
    return findings


def _judge_upcasters(spec: EventSpec, committed: dict[int, Schema]) -> list[Finding]:
    oldest = min(committed, default=spec.major)
    return [
        Finding(f"{spec.topic} {spec.version}: no upcaster from {step}; write one, messages of it are on the topic")
        for step in range(oldest, spec.major)
        if step not in spec.upcasters
    ]


def _judge_samples(spec: EventSpec, folder: Path, committed: dict[int, Schema]) -> list[Finding]:
    findings = [
        Finding(f"{spec.topic} {schema['x-version']}: its golden sample is gone; restore it")
        for schema in committed.values()
        if not (folder / f"{schema['x-version']}{SAMPLE}").is_file()
    ]
    for file in sorted(folder.glob(f"*{SAMPLE}")):
        try:
            spec.decode(file.read_bytes(), fallback_id="")
        except DecodeError as error:
            version = file.name.removesuffix(SAMPLE)
            findings.append(Finding(f"{spec.topic} {spec.version}: cannot read its golden sample {version}: {error}"))
    return findings


def _judge_glossary(glossary: Glossary) -> list[Finding]:
    return [
        *[Finding(f"the field {name} has no meaning; give it one in glossary.toml") for name in glossary.unknown],
        *[Finding(f"no event has a field {name}; take it out of glossary.toml") for name in glossary.unused],
    ]


def _judge_topics(docs: Path, entries: list[Entry]) -> list[Finding]:
    topics = {entry.spec.topic for entry in entries}
    remedy = "bring it back, or delete its folder when nobody reads it"
    return [
        Finding(f"{folder.name}: no event has this topic any more; {remedy}")
        for folder in sorted((docs / "events").glob("*/"))
        if folder.name not in topics
    ]


def _stale(docs: Path, files: dict[Path, str]) -> list[Finding]:
    findings = []
    for file, text in files.items():
        name = file.relative_to(docs)
        if not file.is_file():
            findings.append(Finding(f"{name} is missing; {WRITE}", is_refused=False))
        elif file.read_text() != text:
            findings.append(Finding(f"{name} is not what the code says; {WRITE}", is_refused=False))
    return findings


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor or 0)


def _text(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
