"""The committed schemas, samples and documents of the platform's events, and the one event with two versions."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from django.core.management import call_command
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from content.models.projections import MediaRef
from eventbus.catalog.samples import is_nullable
from eventbus.events import registered
from eventbus.messages import Message
from eventbus.models import ParkedEvent
from eventbus.outbox import topic_of
from eventbus.processing import Processor
from media.events import MediaProcessed
from tests.house.checkout import ROOT
from tests.house.test_events import TOPICS

EVENTS = ROOT / "docs" / "events"
SAMPLES = sorted(EVENTS.glob("*/*.sample.json"))
PARSER = Path(__file__).parent / "asyncapi"
OLD, NEW = (EVENTS / "media.processed" / f"{version}.sample.json" for version in ("1.0", "2.0"))


def label(file):
    return f"{file.parent.name}-{file.name.removesuffix('.sample.json')}"


def version_of(file):
    return file.name.removesuffix(".sample.json")


def schema_of(file):
    """The committed schema of the major version that a sample is of."""
    return json.loads((file.parent / f"{version_of(file).partition('.')[0]}.json").read_text())


def test_the_committed_files_are_what_the_code_says(capsys):
    call_command("check_events")

    assert capsys.readouterr().out == f"All {len(TOPICS)} events are as their schemas say.\n"


@pytest.mark.parametrize("file", SAMPLES, ids=label)
def test_a_sample_is_valid_by_its_schema_and_holds_every_field(file):
    schema, sample = schema_of(file), json.loads(file.read_text())

    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    assert [error.message for error in validator.iter_errors(sample)] == []
    assert sample["version"] == version_of(file)
    if schema["x-version"] == version_of(file):
        assert list(sample) == list(schema["properties"])


@pytest.mark.parametrize("file", SAMPLES, ids=label)
def test_a_sample_is_read_as_the_present_event_and_is_written_as_its_newest_schema_says(file):
    spec = registered()[file.parent.name]

    event = spec.decode(file.read_bytes(), fallback_id="")

    assert type(event) is spec.event_class
    written = json.loads(event.encode())
    newest = json.loads((file.parent / f"{spec.major}.json").read_text())
    assert list(Draft202012Validator(newest).iter_errors(written)) == []
    if version_of(file) == spec.version:
        assert written == json.loads(file.read_text())


@pytest.mark.parametrize("file", SAMPLES, ids=label)
def test_what_may_be_missing_or_null_by_the_schema_may_be_so_in_code(file):
    schema, sample, spec = schema_of(file), json.loads(file.read_text()), registered()[file.parent.name]
    least = {name: sample[name] for name in schema["required"]}
    nulls = {name: None for name, part in schema["properties"].items() if is_nullable(part)}

    for variant in (least, {**sample, **nulls}):
        assert list(Draft202012Validator(schema).iter_errors(variant)) == []
        assert type(spec.decode(json.dumps(variant).encode(), fallback_id="")) is spec.event_class


def test_a_schema_bears_what_later_versions_add():
    schema, sample = schema_of(NEW), json.loads(NEW.read_text())

    later = {**sample, "version": "2.7", "invented": {"a": 1}, "status": "quarantined"}

    assert list(Draft202012Validator(schema).iter_errors(later)) == []
    assert list(Draft202012Validator(schema).iter_errors({**sample, "version": "3.0"})) != []


def test_the_old_version_is_lifted_to_the_new_one():
    old, new = (MediaProcessed.spec.decode(file.read_bytes(), fallback_id="") for file in (OLD, NEW))

    assert b"sizeBytes" in OLD.read_bytes()
    assert b"sizeBytes" not in old.encode()
    assert old == new


@pytest.mark.parametrize("file", [OLD, NEW], ids=label)
@pytest.mark.django_db
def test_a_message_of_either_version_has_the_same_effect(file):
    sample = json.loads(file.read_text())
    message = Message(
        topic=topic_of(MediaProcessed.spec),
        partition=0,
        offset=0,
        key=sample["mediaId"].encode(),
        value=file.read_bytes(),
    )

    Processor("content").process([message])

    assert not ParkedEvent.objects.exists()
    [known] = MediaRef.objects.values("status", "kind", "width", "height", "variants", "source_sequence")
    assert known == {
        "status": "ready",
        "kind": "image",
        "width": 1280,
        "height": 720,
        "variants": ["name"],
        "source_sequence": 1,
    }


def test_an_old_message_that_lacks_what_the_upcaster_needs_is_buried_and_not_lost(db):
    sample = {name: value for name, value in json.loads(OLD.read_text()).items() if name != "sizeBytes"}
    topic = topic_of(MediaProcessed.spec)
    message = Message(topic=topic, partition=0, offset=0, key=b"key", value=json.dumps(sample).encode())

    Processor("content").process([message])

    [buried] = ParkedEvent.objects.all()
    assert (buried.state, bytes(buried.payload)) == (ParkedEvent.State.DEAD, message.value)
    assert not MediaRef.objects.exists()


def test_the_asyncapi_document_is_valid_by_the_official_parser():
    if not (PARSER / "node_modules" / "@asyncapi" / "parser").is_dir():
        reason = "@asyncapi/parser is not installed: install Node.js with npm, then `make tools`"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)

    command = ["node", "validate.js", str(ROOT / "docs" / "asyncapi.json")]
    result = subprocess.run(command, check=False, cwd=PARSER, capture_output=True, text=True, timeout=90)

    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    assert said["version"] == "3.0.0"
    assert set(said["channels"]) == {folder.name for folder in EVENTS.glob("*/")}
    # A hint that a newer AsyncAPI exists is no fault of the document.
    assert [each for each in said["diagnostics"] if each["code"] != "asyncapi-latest-version"] == []


def test_the_asyncapi_document_says_who_sends_and_who_receives_which_version():
    document = json.loads((ROOT / "docs" / "asyncapi.json").read_text())
    operations = {
        name: [message["$ref"].rpartition("/")[2] for message in operation["messages"]]
        for name, operation in document["operations"].items()
        if name.endswith(".media.processed")
    }

    assert operations == {
        "media.send.media.processed": ["media.processed.v2"],
        "content.receive.media.processed": ["media.processed.v1", "media.processed.v2"],
    }
    key = document["components"]["messages"]["media.processed.v2"]["bindings"]["kafka"]["key"]
    assert key == {"type": "string", "format": "uuid", "description": "`mediaId`"}
