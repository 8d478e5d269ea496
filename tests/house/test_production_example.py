"""deploy/production.env is what it says: the settings accept it, Django's checks find nothing, the topics follow it."""

import os
import re
import subprocess
import sys

import pytest

from eventbus.events import registered
from tests.house.checkout import ROOT
from tests.house.test_deployment import PLACEHOLDERS
from tests.house.test_events import TOPICS

EXAMPLE = (ROOT / "deploy" / "production.env").read_text()
GIVEN = dict(line.split("=", 1) for line in EXAMPLE.splitlines() if line and not line.startswith("#"))
SECRETS = set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", EXAMPLE.split("DJANGO_SETTINGS_MODULE")[0].split("come from")[0]))


def manage(*arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
    """The command in an environment that holds the example, the secrets, and nothing else of ours."""
    secrets = {**{name: PLACEHOLDERS[name] for name in SECRETS & PLACEHOLDERS.keys()}, "KAFKA_SASL_PASSWORD": "secret"}
    environment = {"PATH": os.environ["PATH"], **secrets, "ALLOW_SANDBOX_GATEWAY": "true", **GIVEN, **changes}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_the_example_names_every_secret_that_it_leaves_out() -> None:
    production = (ROOT / "config" / "settings" / "production.py").read_text()
    required = re.search(r"env\.require\((.*?)\)", production, flags=re.DOTALL)

    assert required is not None
    assert set(re.findall(r'"([A-Z_]+)"', required[1])) == SECRETS - {"KAFKA_SASL_PASSWORD"} | {
        "KAFKA_BROKERS",
        "ALLOWED_HOSTS",
    }


def test_the_example_passes_every_check_for_deployment() -> None:
    done = manage("check", "--deploy", "--fail-level", "WARNING")

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"KAFKA_REPLICATION_FACTOR": "2"}, "eventbus.W001"),
        ({"KAFKA_MIN_INSYNC_REPLICAS": "1"}, "eventbus.W002"),
        ({"KAFKA_MIN_INSYNC_REPLICAS": "3"}, "eventbus.W002"),
        ({"KAFKA_MIN_INSYNC_REPLICAS": "4"}, "no event would ever be acknowledged"),
    ],
)
def test_an_example_that_would_lose_events_is_not_accepted(changes: dict[str, str], complaint: str) -> None:
    done = manage("check", "--deploy", "--fail-level", "WARNING", **changes)

    assert done.returncode != 0
    assert complaint in done.stderr


def test_its_topics_have_three_replicas_twelve_partitions_and_the_retention_of_their_events() -> None:
    done = manage("sync_topics", "--plan")

    lines = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert lines.keys() == {f"tributary.{topic}{suffix}" for topic in TOPICS for suffix in ("", ".dlq")}
    safe = "3 replicas, cleanup.policy=delete min.insync.replicas=2"
    for topic in TOPICS:
        kept = registered()[topic].retention_days * 24 * 3600 * 1000
        assert lines[f"tributary.{topic}"] == f"12 partitions, {safe} retention.ms={kept}"
        assert lines[f"tributary.{topic}.dlq"].startswith(f"1 partitions, {safe} retention.ms=")
