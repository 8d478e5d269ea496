"""The settings as a starting process meets them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.celery import filesystem_transport
from config.settings.environment import Environment, explained, unknown_names

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = {
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "DATABASE_URL": "postgres://localhost/nowhere",
    "KAFKA_BROKERS": "localhost:9092",
    "ALLOWED_HOSTS": "example.org",
    "CELERY_BROKER_URL": "redis://localhost:6379/0",
    "TRIBUTARY_TOKEN_KEYS": "first,second",
    "TRIBUTARY_FINGERPRINT_KEY": "fingerprint",
    "ALLOW_SANDBOX_GATEWAY": "true",
}
OURS = ("KAFKA_", "EVENTBUS_", "CELERY_", "TRIBUTARY_")


def run(*command, settings="config.settings.production", **environment):
    inherited = {n: v for n, v in os.environ.items() if not n.startswith(OURS) and n not in {*PRODUCTION, "DEBUG"}}
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**inherited, "DJANGO_SETTINGS_MODULE": settings, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_production_names_everything_that_is_missing_at_once():
    result = run("manage.py", "check")

    assert result.returncode != 0
    missing = ", ".join(name for name in PRODUCTION if name != "ALLOW_SANDBOX_GATEWAY")
    assert f"Set these environment variables: {missing}" in result.stderr


def test_production_passes_its_own_inspection_with_warnings_as_errors():
    three = {"KAFKA_REPLICATION_FACTOR": "3", "KAFKA_MIN_INSYNC_REPLICAS": "2"}
    result = run("manage.py", "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION, **three)

    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"KAFKA_BROKER": "x"}, "KAFKA_BROKER is read by nothing; did you mean KAFKA_BROKERS?"),
        ({"SECRET_KEY": "only-for-a-developers-own-machine-0123456789abcdef"}, "which everybody can read"),
        ({"CELERY_BROKER_URL": "amqp://localhost"}, "Set REDIS_URL"),
        ({"SECRET_KEY": " "}, "Set these environment variables: SECRET_KEY"),
    ],
)
def test_production_does_not_start_on_a_mistake(changes, complaint):
    result = run("manage.py", "check", **{**PRODUCTION, **changes})

    assert result.returncode != 0
    assert complaint in result.stderr


def test_production_is_safe_by_default():
    names = ["DEBUG", "SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_HSTS_SECONDS"]
    code = f"import json; from django.conf import settings; print(json.dumps([getattr(settings, n) for n in {names}]))"

    assert json.loads(run("-c", code, **PRODUCTION).stdout) == [False, True, True, True, 31_536_000]


def test_a_developers_machine_starts_on_nothing():
    result = run("manage.py", "check", settings="config.settings.local")

    assert (result.returncode, result.stderr) == (0, "")


def test_only_what_looks_like_ours_and_is_not_is_refused():
    names = [
        "KAFKA_BROKERS",
        "KAFKA_TOPIK",
        "PATH",
        "CELERY_LOG_LEVEL",
        "KAFKA_PORT_9092_TCP_ADDR",
        "KAFKA_SERVICE_HOST",
    ]

    assert unknown_names(names, known={"KAFKA_BROKERS"}) == ["KAFKA_TOPIK"]
    assert explained("CELERY_X", known={"KAFKA_BROKERS"}) == "The environment variable CELERY_X is read by nothing"


def test_what_was_read_is_known(monkeypatch):
    monkeypatch.setenv("TRIBUTARY_SAMPLE", "7")
    for name in [name for name in os.environ if name.startswith(OURS) and name != "TRIBUTARY_SAMPLE"]:
        monkeypatch.delenv(name)
    environment = Environment()

    with pytest.raises(ImproperlyConfigured, match="TRIBUTARY_SAMPLE is read by nothing"):
        environment.refuse_unknown()
    assert environment.int("TRIBUTARY_SAMPLE") == 7
    environment.refuse_unknown()


def test_the_example_lists_exactly_the_variables_that_are_read():
    code = "from config.settings.base import env; import config.settings.production; print(*sorted(env.names_read))"
    read = set(run("-c", code, TRIBUTARY_TRUST_FORWARDED_PROTO="true", **PRODUCTION).stdout.split())
    listed = set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))

    assert listed - read == {"DJANGO_SETTINGS_MODULE"}
    assert read - listed == set()


def test_the_filesystem_transport_makes_its_folders(tmp_path):
    options = filesystem_transport(str(tmp_path / "celery"))

    assert set(options) == {"data_folder_in", "data_folder_out", "processed_folder", "control_folder"}
    assert options["data_folder_in"] == options["data_folder_out"]
    assert all(Path(folder).is_dir() for folder in options.values())


def test_a_task_sent_without_redis_reaches_a_worker(tmp_path):
    sent = run(
        "-c",
        "import django; django.setup(); from api.tasks import prune_idempotency_records as task; task.delay()",
        settings="config.settings.local",
        CELERY_BROKER_URL="filesystem://",
        CELERY_FILESYSTEM_DIRECTORY=str(tmp_path),
    )

    assert (sent.returncode, sent.stderr) == (0, "")
    [message] = (tmp_path / "queue").iterdir()
    assert json.loads(message.read_text())["headers"]["task"] == "api.tasks.prune_idempotency_records"


@pytest.mark.parametrize(
    ("name", "value", "bounds"),
    [
        ("TRIBUTARY_RENEWAL_LEAD_MINUTES", "0", "1 to 1440, not 0"),
        ("CLEARING_DAYS", "-1", "0 to 365, not -1"),
        ("REFUND_WINDOW_DAYS", "-1", "0 to 3650, not -1"),
        ("PLATFORM_FEE_BPS", "10001", "0 to 10000, not 10001"),
        ("TRIBUTARY_REPORTS_TO_FLAG", "0", "1 to 1000000, not 0"),
        ("TRIBUTARY_REPORTER_AGE_DAYS", "-1", "0 to 3650, not -1"),
    ],
)
def test_a_number_beyond_its_bounds_stops_the_start(name, value, bounds):
    answer = run("-c", "import config.settings.base", settings="config.settings.base", **{name: value})

    assert answer.returncode == 1
    assert answer.stderr.splitlines()[-1].endswith(f"{name} is a whole number from {bounds}")


@pytest.mark.parametrize(("value", "read"), [("1", 1), ("1440", 1440)])
def test_the_bounds_themselves_are_within(monkeypatch, value, read):
    monkeypatch.setenv("TRIBUTARY_SAMPLE", value)

    assert Environment().whole("TRIBUTARY_SAMPLE", default=60, at_least=1, at_most=1440) == read
    assert Environment().whole("TRIBUTARY_OTHER", default=60, at_least=1, at_most=1440) == 60


@pytest.mark.parametrize("value", ["0", "-60", "1441", "an hour", "1.5", "1e3"])
def test_what_is_no_whole_number_within_them_is_refused(monkeypatch, value):
    monkeypatch.setenv("TRIBUTARY_SAMPLE", value)

    with pytest.raises(ImproperlyConfigured, match="TRIBUTARY_SAMPLE is a whole number from 1 to 1440"):
        Environment().whole("TRIBUTARY_SAMPLE", default=60, at_least=1, at_most=1440)
