"""The container files say the same as the code they run."""

import re

import pytest
import yaml
from django.conf import settings
from environ import Env

from config.celery import QUEUES
from deploy.health import CHECKS, ROOMS, is_true
from devstack.caddy import CADDY
from devstack.kafka_jars import version
from tests.house.checkout import ROOT, files, place

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
PLACEHOLDERS = dict(
    line.split("=", 1)
    for line in (ROOT / "deploy" / "placeholder.env").read_text().splitlines()
    if line and not line.startswith("#")
)


def test_the_container_and_the_devstack_run_the_same_kafka():
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{version()}"


def test_the_proxy_of_the_containers_is_the_one_that_is_tested():
    assert SERVICES["proxy"]["image"] == f"caddy:{CADDY.version}-alpine"
    assert "./deploy/Caddyfile:/etc/caddy/Caddyfile:ro" in SERVICES["proxy"]["volumes"]
    assert [name for name, service in SERVICES.items() if service.get("build") and service.get("ports")] == []


def test_the_proxy_finds_its_web_processes():
    upstreams = re.findall(r"\{\$PROXY_(?:WEB|FILES):(\w+):8000\}", (ROOT / "deploy" / "Caddyfile").read_text())

    assert set(upstreams) == {"web", "files"}
    assert [SERVICES[name]["healthcheck"]["test"][-1] for name in ("web", "files")] == ["web", "web"]
    assert {"web", "files"} <= set(SERVICES["proxy"]["depends_on"])


def test_every_image_is_pinned():
    loose = [name for name, service in SERVICES.items() if not service.get("build") and ":" not in service["image"]]

    assert loose == []


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_says_whether_it_is_well_and_is_waited_for(name):
    healthcheck = SERVICES[name]["healthcheck"]
    conditions = [wait["condition"] for wait in SERVICES[name].get("depends_on", {}).values()]

    assert healthcheck.get("disable") is (True if name == "migrate" else None)
    assert "service_started" not in conditions


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_to_this_machine_only(name):
    assert [port for port in SERVICES[name].get("ports", []) if not port.startswith("127.0.0.1:")] == []


def test_the_application_is_given_more_time_to_stop_than_its_processes_take():
    from eventbus.supervisor import GRACE_SECONDS

    application = [service for service in SERVICES.values() if service.get("build")]

    assert application
    assert all(int(service["stop_grace_period"].removesuffix("s")) > GRACE_SECONDS for service in application)


def test_health_knows_the_services_and_rooms():
    asked = {service["healthcheck"].get("test", [""])[-1] for service in SERVICES.values()}

    assert set(CHECKS) <= asked
    assert list(ROOMS) == list(settings.ROOMS)


@pytest.mark.parametrize("value", ["true", "On", "1", "yes", "false", "0", "no", "", "off", "2"])
def test_health_and_the_settings_agree_on_what_is_true(value):
    read = Env.parse_value(value, bool)

    assert is_true(value) is read


def test_no_creator_can_hold_every_worker_of_a_queue():
    commands = [service["command"] for service in SERVICES.values() if "worker" in service.get("command", [])]
    processes = {line[line.index("-Q") + 1]: int(line[line.index("--concurrency") + 1]) for line in commands}
    share = int(re.findall(r"^# MEDIA_MAX_AT_WORK=(\d+)$", (ROOT / ".env.example").read_text(), flags=re.MULTILINE)[0])

    assert set(processes) == set(QUEUES), "a worker for each queue alone, so that no charge waits for an image"
    assert min(processes["media"], processes["transcoding"]) > share
    assert share == settings.MEDIA_MAX_AT_WORK


def test_the_compose_file_sets_only_what_the_settings_read():
    example = (ROOT / ".env.example").read_text()
    given = {name for service in SERVICES.values() if service.get("build") for name in service["environment"]}

    assert {name for name in given - {"DJANGO_SETTINGS_MODULE"} if f"{name}=" not in example} == set()


def test_the_placeholders_are_what_production_requires():
    production = (ROOT / "config" / "settings" / "production.py").read_text()
    required = re.search(r"env\.require\((.*?)\)", production, flags=re.DOTALL)

    assert required is not None
    assert set(re.findall(r'"([A-Z_]+)"', required[1])) <= set(PLACEHOLDERS)


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_the_lock_names_every_requirement_with_hashes(name):
    required = re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?(==\S+)", (ROOT / f"{name}.txt").read_text().lower(), flags=re.M)
    locked = re.findall(r"^([\w.-]+==\S+) \\\n    --hash=sha256:", (ROOT / f"{name}.lock").read_text(), flags=re.M)

    assert required
    assert {package + pin for package, pin in required} - set(locked) == set(), "run `make lock`"


def test_stories_through_whole_stacks_take_turns():
    together = [
        place(file)
        for file in files()
        if file.suffix == ".py" and file.is_relative_to(ROOT / "tests") and file.parent.name != "house"
        if "mark.flow" in file.read_text() and 'xdist_group("flow")' not in file.read_text()
    ]

    assert together == [], f"mark them pytest.mark.xdist_group('flow') too: {', '.join(together)}"
