"""What a relay or a consumer answers about itself over HTTP."""

import json
import re
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from eventbus import health as health_module
from eventbus import metrics
from eventbus.conf import bus_settings
from eventbus.health import Health
from eventbus.models import ParkedEvent
from eventbus.processing import Processor
from tests.eventbus.conftest import message
from tests.eventbus.sample import troubles

DOCUMENTED = Path(__file__).parents[2] / "docs" / "operations.md"


@pytest.fixture
def health() -> Iterator[Health]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    subject = Health("relay")
    subject.serve(port)
    subject.beat()
    yield subject
    subject.close()


def ask(health: Health, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{health.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_a_process_whose_loop_comes_round_is_alive_and_ready(health: Health) -> None:
    assert ask(health, "/healthz") == (200, '{"process": "relay", "status": "ok", "waits_for": {}}')
    assert ask(health, "/readyz")[0] == 200


def test_a_process_that_waits_is_alive_but_not_ready_and_says_for_what(health: Health) -> None:
    health.waits_for("kafka", "no broker answers")

    assert ask(health, "/healthz")[0] == 200
    status, body = ask(health, "/readyz")
    assert (status, json.loads(body)["waits_for"]) == (503, {"kafka": "no broker answers"})

    health.has("kafka")
    assert ask(health, "/readyz")[0] == 200


def test_a_loop_that_stands_still_is_neither(health: Health, monkeypatch: Any) -> None:
    monkeypatch.setattr(health_module, "STILL_SECONDS", -1.0)

    assert ask(health, "/healthz")[0] == 503
    assert ask(health, "/readyz")[0] == 503


def test_an_unknown_page_names_those_there_are(health: Health) -> None:
    status, body = ask(health, "/")

    assert status == 404
    assert "/readyz" in body


def test_metrics_are_told_to_prometheus(health: Health, processor: Processor) -> None:
    def handled() -> float:
        labels = ("sample-consumer-group", "sample.counted", "handled")
        return float(metrics.consumer_messages.labels(*labels)._value.get())

    before = handled()
    troubles[2] = lambda: RuntimeError("boom")
    again = message(number=1)
    processor.process([again, again, message(number=2)])

    assert handled() == before + 1
    page = ask(health, "/metrics")[1]
    for outcome in ("handled", "duplicate", "parked"):
        assert f'group="sample-consumer-group",outcome="{outcome}",topic="sample.counted"' in page


def test_parked_events_are_counted_by_state(processor: Processor) -> None:
    troubles[1] = lambda: RuntimeError("boom")
    processor.process([message(number=1), message(value=b"{")])

    counted = ParkedEvent.objects.count_by_state("sample-consumer-group")

    assert counted == {"retrying": 1, "queued": 0, "dead": 1}


def test_no_port_serves_nothing() -> None:
    subject = Health("relay")
    subject.serve(0)

    assert subject.port == 0


def test_every_room_answers_on_a_port_of_its_own(settings: Any) -> None:
    settings.EVENTBUS = {**settings.EVENTBUS, "http_port": 9100}

    ports = [bus_settings().http_port_of(room) for room in bus_settings().rooms]

    assert ports == [9101, 9102, 9103, 9104]


def test_every_metric_is_in_the_operators_handbook() -> None:
    declared = set(re.findall(r'"(tributary_\w+)"', Path(metrics.__file__).read_text()))

    assert declared
    assert declared == set(re.findall(r"`(tributary_\w+)`", DOCUMENTED.read_text()))
