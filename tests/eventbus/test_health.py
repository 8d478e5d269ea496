"""What a relay or a consumer answers about itself over HTTP."""

import json
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone
from prometheus_client import Histogram

from eventbus import health as health_module
from eventbus import metrics
from eventbus import relay as relay_module
from eventbus.conf import bus_settings
from eventbus.health import Health
from eventbus.models import ParkedEvent
from eventbus.outbox import publish
from eventbus.processing import Processor
from tests.eventbus.conftest import message
from tests.eventbus.sample import Counted, troubles

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


def test_latencies_are_measured_to_the_commit_of_the_effect(processor: Processor) -> None:
    def seconds(histogram: Histogram) -> float:
        return float(histogram.labels("sample-consumer-group", "sample.counted")._sum.get())

    now = timezone.now()
    recorded = Counted(counter_id=uuid4(), number=1, timestamp=now - timedelta(seconds=50))
    before = seconds(metrics.consumer_end_to_end), seconds(metrics.consumer_from_kafka)

    processor.process([message(value=recorded.encode(), timestamp=now - timedelta(seconds=20))])

    assert seconds(metrics.consumer_end_to_end) - before[0] == pytest.approx(50, abs=10)
    assert seconds(metrics.consumer_from_kafka) - before[1] == pytest.approx(20, abs=10)


def test_what_waits_in_the_outbox_is_counted_up_to_a_limit(
    processor: Processor, health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "COUNTED", 2)
    relay = relay_module.Relay()
    relay.health = health
    for expected in (0, 1, 2, 2):
        relay._looked_at = 0.0
        relay._look()
        assert metrics.outbox_waiting._value.get() == expected
        with transaction.atomic():
            publish(Counted(counter_id=uuid4(), number=1))


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


STUCK = """
import time
from eventbus.health import Health
health = Health("consumer")
health.end_when_stuck(0.5)
health.beat()
def handler_that_never_ends():
    time.sleep(60)
{then}
"""


@pytest.mark.parametrize(("then", "status"), [("handler_that_never_ends()", 1), ("health.close(); time.sleep(1)", 0)])
def test_a_stuck_loop_dumps_its_stacks_and_ends_its_process(then: str, status: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", STUCK.format(then=then)], capture_output=True, text=True, timeout=50, check=False
    )

    assert ended.returncode == status
    assert ("in handler_that_never_ends" in ended.stderr) is bool(status)
