"""Connecting to a Kafka that asks who is there: what works, and what is said, once, when it does not."""

import json
import logging
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from uuid import uuid4

import pytest
from confluent_kafka.admin import AclOperation, ResourceType
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from devstack.ports import free_port
from eventbus.consumer import Consumer
from eventbus.exceptions import BrokerRefusedError
from eventbus.kafka import access
from eventbus.kafka.admin import Cluster
from eventbus.models import HeldKey, OutboxEvent
from eventbus.outbox import publish
from eventbus.relay import Relay
from eventbus.status import bus_status
from tests.eventbus.sample import Counted, numbers
from tests.kafka.secured import SCRAM, SecuredKafka

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("sample_room"),
]

READ, WRITE, DESCRIBE = AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE
TOPIC, GROUP = ResourceType.TOPIC, ResourceType.GROUP
PASSWORD = "a-password-that-no-log-may-show"
STEADY_SECONDS = 1.2  # long enough for dozens of refused connections


class Installation:
    """Settings, users and topics of one test on the shared broker."""

    def __init__(self, kafka: SecuredKafka, bus: Any) -> None:
        name = uuid4().hex[:8]
        self.kafka, self._bus = kafka, bus
        self.prefix, self.user, self.group = f"t{name}.", f"user-{name}", f"group-{name}"
        self.counted, self.dead = f"{self.prefix}sample.counted", f"{self.prefix}sample.counted.dlq"
        self.configure(
            brokers=kafka.inside,
            topic_prefix=self.prefix,
            rooms={"tests": {"client_id": "sample-service", "group_id": self.group}},
            delivery_timeout_seconds=2.0,
        )
        for topic in (self.counted, self.dead):
            Cluster().create_topic(topic, partitions=2, replication=1, config={})
        until(lambda: {self.counted, self.dead} <= Cluster().partitions().keys())

    def configure(self, **settings: Any) -> None:
        self._bus.EVENTBUS = {**self._bus.EVENTBUS, **settings}

    def by_password(self, password: str = PASSWORD, **security: str) -> None:
        """Connect as our user by password over TLS."""
        self.configure(
            brokers=self.kafka.sasl,
            security={
                "protocol": "SASL_SSL",
                "sasl_mechanism": SCRAM,
                "sasl_username": self.user,
                "sasl_password": password,
                "ssl_ca": self.kafka.authority.certificate(),
                **security,
            },
        )

    def by_certificate(self, certificate: str, key: str, **security: str) -> None:
        """Connect as the subject of a certificate."""
        trusted = {"ssl_ca": self.kafka.authority.certificate(), "ssl_certificate": certificate, "ssl_key": key}
        self.configure(brokers=self.kafka.mtls, security={"protocol": "SSL", **trusted, **security})

    def allow_all(self) -> None:
        """The least that a relay and a consumer can work with."""
        self.kafka.allow(self.user, WRITE, TOPIC, self.prefix)
        self.kafka.allow(self.user, READ, TOPIC, self.prefix)
        self.kafka.allow(self.user, READ, GROUP, self.group)


@pytest.fixture
def here(secured: SecuredKafka, bus: Any, monkeypatch: pytest.MonkeyPatch) -> Installation:
    monkeypatch.setattr(access, "ASK_SECONDS", 0.5)
    installation = Installation(secured, bus)
    secured.set_password(installation.user, PASSWORD)
    return installation


@contextmanager
def running(worker: Relay | Consumer) -> Iterator[None]:
    """A relay or a consumer in a thread of its own, as its command runs it."""

    def run() -> None:
        worker.run()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(30)
    assert not thread.is_alive()


def until(condition: Callable[[], Any], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def count_one() -> Any:
    counter = uuid4()
    with transaction.atomic():
        publish(Counted(counter_id=counter, number=1))
    return counter


def leave_a_dead_letter(here: Installation) -> None:
    """An event of another topic."""
    OutboxEvent.objects.create(
        event_id=uuid4(),
        bucket=3,
        topic=here.dead,
        key="3",
        payload=b"{}",
        headers={},
        aggregate_type="dead_letter",
        aggregate_id="3",
        sequence=0,
    )


def warnings_in(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelno >= logging.WARNING]


def said_once(worker: Relay | Consumer, log: pytest.LogCaptureFixture, *parts: str) -> str:
    """The one warning of a worker that waits: it stays one, its health page has it too, and no secret is in it."""
    until(lambda: worker.health.troubles() and warnings_in(log))
    time.sleep(STEADY_SECONDS)
    [sentence] = warnings_in(log)
    reason = worker.health.troubles()["kafka"]
    assert sentence.endswith(reason)
    assert all(part in reason for part in parts), reason
    assert PASSWORD not in log.text
    return reason


def test_relay_and_consumer_work_by_scram_over_tls(here: Installation) -> None:
    here.by_password()
    here.allow_all()
    counter = count_one()

    assert Relay().drain() == 1
    assert Consumer("tests").drain() == 1
    assert numbers(counter) == [1]


def test_relay_and_consumer_work_by_certificate_from_files(here: Installation, tmp_path: Path) -> None:
    own = here.kafka.authority.issue(here.user, password="of-the-key")
    (tmp_path / "own.pem").write_text(own.certificate)
    (tmp_path / "own.key").write_text(own.key)
    here.by_certificate(str(tmp_path / "own.pem"), str(tmp_path / "own.key"), ssl_key_password="of-the-key")
    here.allow_all()
    counter = count_one()

    assert Relay().drain() == 1
    assert Consumer("tests").drain() == 1
    assert numbers(counter) == [1]


def test_a_relay_with_a_wrong_password_says_so_and_goes_on_when_it_is_right(
    here: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    here.by_password("another-" + PASSWORD)
    here.allow_all()
    here.configure(http_port=free_port())
    count_one()
    relay = Relay()

    with running(relay):
        said_once(relay, caplog, here.user, "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD")
        with pytest.raises(HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{relay.health.port}/readyz", timeout=5)
        assert "KAFKA_SASL_PASSWORD" in json.loads(refused.value.read())["waits_for"]["kafka"]
        assert OutboxEvent.objects.count() == 1

        here.kafka.set_password(here.user, "another-" + PASSWORD)
        until(lambda: not OutboxEvent.objects.exists())
        until(lambda: relay.health.troubles() == {})

    assert "relay: Kafka is back" in caplog.messages


def test_an_idle_relay_shows_that_it_is_refused_before_the_first_event(
    here: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    here.by_password("another-" + PASSWORD)
    relay = Relay()

    with running(relay):
        said_once(relay, caplog, "KAFKA_SASL_PASSWORD")


@pytest.mark.parametrize(
    ("broken", "parts"),
    [
        ("no authority", ["set KAFKA_SSL_CA"]),
        ("expired authority", ["KAFKA_SSL_CA expired on"]),
        ("unknown mechanism", ["set KAFKA_SASL_MECHANISM to one of SCRAM-SHA-512"]),
        ("wrong protocol", ["SASL_PLAINTEXT"]),
    ],
)
def test_a_consumer_that_is_not_let_in_says_why_once(
    here: Installation, caplog: pytest.LogCaptureFixture, broken: str, parts: list[str]
) -> None:
    changes = {
        "no authority": {"ssl_ca": ""},
        "expired authority": {"ssl_ca": here.kafka.authority.certificate(expired=True)},
        "unknown mechanism": {"sasl_mechanism": "SCRAM-SHA-256"},
        "wrong protocol": {"ssl_ca": "", "protocol": "SASL_PLAINTEXT"},
    }
    here.by_password(**changes[broken])
    consumer = Consumer("tests")

    with running(consumer):
        said_once(consumer, caplog, *parts)


def test_an_expired_certificate_is_named_and_its_successor_taken_up(
    here: Installation, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "own.pem", tmp_path / "own.key"

    def install(*, expired: bool) -> None:
        own = here.kafka.authority.issue(here.user, expired=expired)
        key.write_text(own.key)
        certificate.write_text(own.certificate)

    install(expired=True)
    here.by_certificate(str(certificate), str(key))
    here.allow_all()
    counter = count_one()
    relay, consumer = Relay(), Consumer("tests")

    with running(relay):
        said_once(relay, caplog, "KAFKA_SSL_CERTIFICATE expired on")
        caplog.clear()
        with running(consumer):
            until(consumer.health.troubles)
            assert "KAFKA_SSL_CERTIFICATE expired on" in consumer.health.troubles()["kafka"]

            install(expired=False)
            until(lambda: numbers(counter) == [1])
            until(lambda: relay.health.troubles() == consumer.health.troubles() == {})


def test_a_broker_that_wants_a_certificate_is_understood(here: Installation, caplog: pytest.LogCaptureFixture) -> None:
    here.by_certificate("", "")
    relay = Relay()

    with running(relay):
        said_once(relay, caplog, "set KAFKA_SSL_CERTIFICATE and KAFKA_SSL_KEY")


@pytest.mark.parametrize("described", [False, True], ids=["unseen", "seen but not writable"])
def test_a_topic_without_permission_waits_and_the_others_go_on(
    here: Installation, caplog: pytest.LogCaptureFixture, *, described: bool
) -> None:
    here.by_password()
    here.kafka.allow(here.user, WRITE, TOPIC, here.counted)
    if described:
        here.kafka.allow(here.user, DESCRIBE, TOPIC, here.dead)
    leave_a_dead_letter(here)
    relay = Relay()

    with running(relay):
        said_once(relay, caplog, here.user, "WRITE", here.dead)
        for _ in range(3):
            count_one()
            until(lambda: OutboxEvent.objects.count() == 1)
        assert list(OutboxEvent.objects.values_list("topic", flat=True)) == [here.dead]
        assert not HeldKey.objects.exists()

        here.kafka.allow(here.user, WRITE, TOPIC, here.dead)
        until(lambda: not OutboxEvent.objects.exists())
        assert relay.health.troubles() == {}
    assert len(warnings_in(caplog)) == 1


def test_a_relay_without_any_permission_says_so_once_and_holds_nothing(
    here: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    here.by_password()
    count_one()
    relay = Relay()

    with running(relay):
        said_once(relay, caplog, here.user, "WRITE", here.counted)
        assert not HeldKey.objects.exists()

        here.allow_all()
        until(lambda: not OutboxEvent.objects.exists())


def test_relay_once_publishes_what_it_may_and_fails_with_the_rest(here: Installation) -> None:
    here.by_password()
    here.kafka.allow(here.user, WRITE, TOPIC, here.counted)
    count_one()
    leave_a_dead_letter(here)

    with pytest.raises(BrokerRefusedError, match=f"needs WRITE on the topics {here.dead}"):
        Relay().drain()

    assert list(OutboxEvent.objects.values_list("topic", flat=True)) == [here.dead]


@pytest.mark.parametrize("lacking", ["group", "topic", "reading, though the topic is seen"])
def test_a_consumer_without_permission_waits_and_goes_on_when_it_is_given(
    here: Installation, caplog: pytest.LogCaptureFixture, lacking: str
) -> None:
    caplog.set_level(logging.INFO)
    counter = count_one()
    Relay().drain()
    here.by_password()
    if lacking == "group":
        here.kafka.allow(here.user, READ, TOPIC, here.prefix)
    else:
        here.kafka.allow(here.user, READ, GROUP, here.group)
        if lacking != "topic":
            here.kafka.allow(here.user, DESCRIBE, TOPIC, here.counted)
    consumer = Consumer("tests")

    with running(consumer):
        what = f"READ on the group {here.group}" if lacking == "group" else here.counted
        said_once(consumer, caplog, here.user, what)
        assert numbers(counter) == []

        here.allow_all()
        until(lambda: numbers(counter) == [1])
        until(lambda: consumer.health.troubles() == {})
    assert "consumer tests: permission is given" in caplog.messages


def test_a_consumer_whose_permission_is_taken_away_comes_back_when_it_is_given_again(
    here: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    counter = count_one()
    Relay().drain()
    here.by_password()
    here.allow_all()
    consumer = Consumer("tests")

    with running(consumer):
        until(lambda: numbers(counter) == [1])
        here.kafka.forbid(here.user)
        said_once(consumer, caplog, f"READ on the group {here.group}")

        here.allow_all()
        until(lambda: consumer.health.troubles() == {})
        other = count_one()
        Relay().drain()
        until(lambda: numbers(other) == [1])


def test_commands_that_end_by_themselves_fail_with_the_reason(here: Installation) -> None:
    here.by_password("another-" + PASSWORD)

    for command in (["run_consumers", "tests", "--once"], ["sync_topics"]):
        with pytest.raises(CommandError, match="KAFKA_SASL_PASSWORD") as refused:
            call_command(*command)
        assert PASSWORD not in str(refused.value)
    assert "KAFKA_SASL_PASSWORD" in bus_status()["kafka"]
