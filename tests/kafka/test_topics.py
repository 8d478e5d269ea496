"""The topics as code, on real Kafka: from one declaration to what the brokers have, and never less than they had."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient
from django.core.management import CommandError, call_command

from devstack.exceptions import KafkaUnavailableError
from devstack.kafka_apache import apache_kafka
from eventbus.conf import bus_settings
from eventbus.kafka.admin import Cluster
from eventbus.topics import sync_topics
from tests.eventbus.sample import Counted

pytestmark = pytest.mark.kafka

DAY_MS = 24 * 3600 * 1000


def sync(*options: str) -> list[str]:
    out = StringIO()
    call_command("sync_topics", *options, stdout=out)
    return out.getvalue().splitlines()


@pytest.fixture
def one_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """No event but one, so that a report is short."""
    monkeypatch.setattr("eventbus.events._registered", {"sample.counted": Counted.spec})


@pytest.fixture
def plan(bus: Any, one_event: None, apache_brokers: str) -> Any:
    """Settings that this test may change; its topics have a prefix of their own."""
    prefix = f"t{uuid4().hex[:8]}."

    def plan(**settings: Any) -> str:
        bus.EVENTBUS = {**bus.EVENTBUS, "brokers": apache_brokers, "topic_prefix": prefix, **settings}
        return f"{prefix}sample.counted"

    return plan


def test_a_dry_run_says_what_would_be_and_does_nothing(plan: Any) -> None:
    topic = plan(partitions=3)
    created = "1 replicas, cleanup.policy=delete min.insync.replicas=1 retention.ms="

    assert sync("--dry-run") == [
        f"{topic}: create with 3 partitions, {created}{30 * DAY_MS}",
        f"{topic}.dlq: create with 1 partitions, {created}{30 * DAY_MS}",
    ]
    assert topic not in Cluster().partitions()


def test_topics_are_created_grown_and_configured_and_what_is_right_is_left_alone(plan: Any) -> None:
    topic = plan(partitions=3)
    sync()
    assert (Cluster().partitions()[topic], Cluster().partitions()[f"{topic}.dlq"]) == (3, 1)
    assert sync() == ["All 2 topics are as planned."]

    plan(partitions=5)
    Cluster().configure_topic(topic, {"retention.ms": "1000", "max.message.bytes": "2000000"})
    expected = [
        f"{topic}: grow from 3 to 5 partitions",
        f"{topic}: set retention.ms from 1000 to {30 * DAY_MS}",
    ]
    assert sync("--dry-run") == expected
    assert Cluster().partitions()[topic] == 3
    assert sync() == expected

    assert sync("--dry-run") == ["All 2 topics are as planned."]
    assert Cluster().partitions()[topic] == 5
    found = Cluster().topic_config(topic)
    assert (found["retention.ms"], found["cleanup.policy"]) == (str(30 * DAY_MS), "delete")
    assert found["max.message.bytes"] == "2000000"  # what the plan does not say is the operator's


def test_partitions_are_never_taken_away_and_the_rest_is_done_all_the_same(plan: Any) -> None:
    topic = plan(partitions=4)
    sync()
    plan(partitions=2)
    Cluster().configure_topic(topic, {"retention.ms": "1000"})

    with pytest.raises(CommandError, match="only a person may change"):
        sync()

    assert Cluster().partitions()[topic] == 4
    assert Cluster().topic_config(topic)["retention.ms"] == str(30 * DAY_MS)


def test_a_topic_for_more_replicas_than_brokers_is_not_created_with_fewer(plan: Any) -> None:
    topic = plan(replication_factor=3, min_insync_replicas=2)

    for options in ([], ["--dry-run"]):
        with pytest.raises(CommandError, match="only a person may change"):
            sync(*options)

    assert topic not in Cluster().partitions()
    assert [change.what for change in sync_topics(Cluster(), apply=False)] == [
        "cannot be created with 3 replicas: each needs a broker, and 1 are there"
    ] * 2


@pytest.fixture(scope="module")
def three_brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster as production should have; in CI its absence is an error."""
    with ExitStack() as stack:
        try:
            cluster = stack.enter_context(apache_kafka(nodes=3, directory=tmp_path_factory.mktemp("three")))
        except KafkaUnavailableError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no Apache Kafka: {error}")
        yield cluster.brokers


def test_on_three_brokers_every_topic_has_three_replicas_and_two_in_sync(plan: Any, three_brokers: str) -> None:
    topic = plan(brokers=three_brokers)
    sync()

    plan(brokers=three_brokers, replication_factor=3, min_insync_replicas=2)
    with pytest.raises(CommandError):
        sync("--dry-run")
    changes = [change for change in sync_topics(Cluster(), apply=True) if change.refused]
    assert [change.topic for change in changes] == [topic, f"{topic}.dlq"]
    assert changes[0].what.startswith("has 1 replicas, the plan says 3: add them with kafka-reassign-partitions")
    assert replicas_of(topic) == {1}

    plan(brokers=three_brokers, replication_factor=3, min_insync_replicas=2, topic_prefix="fresh.")
    sync()

    for name in ("fresh.sample.counted", "fresh.sample.counted.dlq"):
        assert replicas_of(name) == {3}
        assert Cluster().topic_config(name)["min.insync.replicas"] == "2"


def replicas_of(topic: str) -> set[int]:
    admin = AdminClient({"bootstrap.servers": bus_settings().brokers})
    described = admin.describe_topics(TopicCollection([topic]))[topic].result()
    return {len(part.replicas) for part in described.partitions}
