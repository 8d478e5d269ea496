"""What anybody sees of the platform with Kafka's own tools, on real Apache Kafka."""

import json
import os
from collections.abc import Iterator

import pytest

from devstack.exceptions import KafkaUnavailableError
from devstack.kafka_jars import installed_jars
from devstack.kafka_tools import run_tool
from tests.flows.platform import Platform, eventually, new_tier, running_platform, subscribe
from tests.house.test_events import TOPICS

pytestmark = [pytest.mark.flow, pytest.mark.kafka, pytest.mark.xdist_group("flow")]

GROUPS = {
    "subscription-consumer-group",
    "payment-consumer-group",
    "content-consumer-group",
    "media-consumer-group",
}


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    try:
        installed_jars()
    except KafkaUnavailableError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no Apache Kafka: {error}")
    with running_platform("apache") as running:
        yield running


def tool(platform: Platform, name: str, *arguments: str) -> str:
    result = run_tool(name, arguments, brokers=platform.stack.brokers, capture=True)
    assert result.returncode == 0, result.stderr
    return str(result.stdout)


def test_topics_groups_lag_and_messages_are_seen_with_the_standard_tools(platform: Platform) -> None:
    people = platform.people("creator", "fan")
    subscription = subscribe(people["fan"], new_tier(people["creator"]))
    path = f"/subscriptions/{subscription}"
    assert eventually(lambda: people["fan"].get(path)["status"] == "active")
    assert eventually(platform.is_quiet)

    topics = set(tool(platform, "topics", "--list").split())
    planned = {line.split()[0] for line in platform.manage("sync_topics", "--plan").splitlines()}
    assert len([name for name in planned if not name.endswith(".dlq")]) == len(TOPICS)
    assert planned <= topics
    assert "PartitionCount: 6" in tool(platform, "topics", "--describe", "--topic", "payment.completed")

    assert set(tool(platform, "consumer-groups", "--list").split()) >= GROUPS
    described = tool(platform, "consumer-groups", "--describe", "--group", "payment-consumer-group")
    [row] = [
        line.split()
        for line in described.splitlines()
        if "subscription.created" in line and line.split()[4] not in {"0", "-"}
    ]
    assert (row[0], row[5]) == ("payment-consumer-group", "0")  # its lag

    [message] = tool(
        platform,
        *("console-consumer", "--topic", "subscription.created", "--from-beginning"),
        *("--max-messages", "1", "--timeout-ms", "20000"),
    ).splitlines()
    event = json.loads(message)
    assert (event["subscriptionId"], event["version"], event["sequence"]) == (subscription, "1.0", 1)


def test_topics_are_kept_as_long_as_planned(platform: Platform) -> None:
    described = tool(
        platform, "configs", "--describe", "--entity-type", "topics", "--entity-name", "content.post.liked"
    )

    assert f"retention.ms={7 * 24 * 3600 * 1000}" in described
    assert platform.manage("sync_topics", "--dry-run").strip() == "All 38 topics are as planned."
