"""Real processes, killed in the middle of traffic: nothing lost, nothing doubled."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from devstack.programs import PROJECT
from tests.flows.platform import Platform, at_once, eventually, new_tier, running_platform, subscribe

pytestmark = [pytest.mark.flow, pytest.mark.xdist_group("flow")]

FANS = 24
VICTIMS = ("one consumer", "relay", "web", "worker", "consumers")
# Longer than the 120 s after which an attempt at a parked event, or a charge, is taken from a process that died in it.
SETTLE_SECONDS = 240


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with running_platform() as running:
        yield running


@pytest.fixture
def untouched_platform() -> Iterator[Platform]:
    """A platform of its own for a test that counts everything there is: the others run before it or after it."""
    with running_platform() as running:
        yield running


def kill_one_consumer(platform: Platform) -> bool:
    """kill -9 one room's consumer and the journal's, whose supervisor lives on."""
    supervisor = platform.stack.process("consumers").pid
    children = psutil.Process(supervisor).children(recursive=True) if supervisor else []
    rooms = [child for child in children if "run_consumers" in child.cmdline()]
    for child in rooms[-2:]:
        child.kill()
    return bool(rooms)


def kill_one_after_another(platform: Platform, done: threading.Event, killed: list[str]) -> None:
    """kill -9 each kind of process in turn, and a single consumer among them, until told to stop.

    The next one only when the web answers again: on a slow machine nobody would ever be served between two kills.
    """
    while not done.is_set():
        for name in VICTIMS:
            eventually(lambda: done.is_set() or platform.is_serving(), seconds=120)
            if done.wait(2.5):
                break
            if name != "one consumer":
                platform.stack.process(name).kill()
            elif not kill_one_consumer(platform):
                continue
            killed.append(name)


def test_kill_9_on_every_process_loses_nothing_and_doubles_nothing(untouched_platform: Platform) -> None:
    platform = untouched_platform
    people = platform.people("creator", *(f"fan{n}" for n in range(FANS)))
    tier = new_tier(people["creator"])
    fans = [people[f"fan{n}"] for n in range(FANS)]
    done = threading.Event()
    killed: list[str] = []
    killer = threading.Thread(target=kill_one_after_another, args=[platform, done, killed])
    killer.start()
    try:
        at_once(lambda fan: subscribe(fan, tier), fans)
        tips = {"recipient_id": people["creator"].id, "amount": 100, "currency": "USD"}
        at_once(
            lambda fan: fan.post(
                "/tips", {**tips, "payment_method_id": fan.get("/payment-methods")["results"][0]["id"]}
            ),
            fans,
        )
    finally:
        eventually(lambda: set(VICTIMS) <= set(killed), seconds=SETTLE_SECONDS)
        done.set()
        killer.join()

    assert set(killed) == set(VICTIMS)
    settled = "SELECT count(*) FROM payments_paymentorder WHERE status <> 'succeeded'"
    assert eventually(lambda: platform.rows(settled) == [(0,)], seconds=SETTLE_SECONDS), platform.report()
    active = "SELECT count(*) FROM subscriptions_subscription WHERE status = 'active'"
    assert eventually(lambda: platform.rows(active) == [(FANS,)], seconds=SETTLE_SECONDS), platform.report()
    assert eventually(platform.is_quiet, seconds=SETTLE_SECONDS), platform.report()

    assert platform.rows(
        "SELECT kind, count(*), count(DISTINCT reference_id) FROM payments_paymentorder GROUP BY kind ORDER BY kind"
    ) == [("subscription", FANS, FANS), ("tip", FANS, FANS)]
    assert platform.rows("SELECT status, count(*) FROM payments_sandboxcharge GROUP BY status") == [
        ("captured", 2 * FANS)
    ]
    assert platform.rows("SELECT count(*), count(DISTINCT subscription_id) FROM subscriptions_subscriptionperiod") == [
        (FANS, FANS)
    ]
    assert platform.rows(
        "SELECT kind, count(*), count(DISTINCT source_id) FROM content_entitlement"
        " WHERE valid_until > now() GROUP BY kind"
    ) == [("subscription", FANS, FANS)]
    assert platform.rows(
        'SELECT max(n) FROM (SELECT count(*) n FROM eventbus_inboxevent GROUP BY "group", event_id) s'
    ) == [(1,)]
    assert platform.rows(
        "SELECT count(*) FROM eventbus_inboxevent i"
        " WHERE NOT EXISTS (SELECT FROM eventbus_journalevent j WHERE j.event_id = i.event_id)"
    ) == [(0,)]
    assert platform.rows(
        'SELECT count(*) - count(DISTINCT (topic, partition, "offset")) FROM eventbus_journalevent'
    ) == [(0,)]
    for projection in ("content subscriptions", "payments subscriptions"):
        told = platform.manage("rebuild_projection", *projection.split())
        assert f"{FANS} histories retold, 0 differ" in told


def test_the_first_steps_work_as_they_are_printed(platform: Platform) -> None:
    if not (shutil.which("curl") and shutil.which("jq")) and not os.environ.get("CI"):
        pytest.skip("curl and jq are needed: Debian: apt install curl jq")
    page = (PROJECT / "docs" / "first-steps.md").read_text()
    script = "\n".join(re.findall(r"```bash\n(.*?)```", page, re.DOTALL))
    assert "http://localhost:8000" in script

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("http://localhost:8000", platform.stack.base_url)],
        cwd=PROJECT,
        env={**os.environ, **platform.stack.env, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    shown = [json.loads(text) for text in re.findall(r"^\{\n.*?^\}$", done.stdout, re.DOTALL | re.MULTILINE)]
    locked, subscribed, opened, again, refused = shown
    assert (locked["is_locked"], locked["body"]) == (True, None)
    assert (opened["is_locked"], opened["body"]) == (False, "For those who pay.")
    assert again == subscribed == {"id": again["id"], "status": "incomplete"}
    assert refused == {"status": 409, "code": "already_subscribed"}
    assert "subscription-consumer-group" in done.stdout


def test_the_web_goes_on_writing_while_no_broker_answers(platform: Platform) -> None:
    people = platform.people("creator-outage", "fan-outage")
    tier = new_tier(people["creator-outage"])
    assert eventually(platform.is_quiet)
    platform.stack.stop_process("broker")

    subscription = subscribe(people["fan-outage"], tier)
    time.sleep(4)

    waiting = platform.rows("SELECT topic FROM eventbus_outboxevent ORDER BY id")
    assert waiting == [("subscription.created",)]
    said = [line for line in platform.log("relay").splitlines() if "waiting for Kafka" in line]
    assert 1 <= len(said) <= 2
    platform.stack.start_process("broker")
    path = f"/subscriptions/{subscription}"
    assert eventually(lambda: people["fan-outage"].get(path)["status"] == "active", seconds=60)
    assert "Kafka is back" in platform.log("relay")
    assert eventually(lambda: platform.log("consumers").count("Kafka is back") >= 4)
    assert len([line for line in platform.log("consumers").splitlines() if "waiting for Kafka" in line]) <= 8


def test_every_process_waits_for_the_database_and_goes_on(platform: Platform) -> None:
    people = platform.people("creator-database", "fan-database")
    tier = new_tier(people["creator-database"])
    assert eventually(platform.is_quiet)
    starts = {name: platform.stack.process(name).starts for name in ("relay", "consumers")}
    platform.stack.stop_process("postgres")
    time.sleep(4)
    platform.stack.start_process("postgres")

    subscription = subscribe(people["fan-database"], tier)

    path = f"/subscriptions/{subscription}"
    assert eventually(lambda: people["fan-database"].get(path)["status"] == "active", seconds=60)
    assert {name: platform.stack.process(name).starts for name in starts} == starts
    assert "waiting for the database" in platform.log("relay")
    assert "the database is back" in platform.log("relay")


def test_commands_name_what_is_wrong(platform: Platform) -> None:
    assert "There is no room 'nowhere'" in platform.manage("run_consumers", "nowhere", check=False)
    assert "All 38 topics are as planned." in platform.manage("sync_topics")
    assert "relay" in platform.manage("bus_status")
