"""The same tests on every broker: librdkafka's built-in one, and real Apache Kafka."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest

from devstack.exceptions import KafkaUnavailableError
from devstack.kafka_apache import apache_kafka
from devstack.kafka_builtin import BuiltinBroker, controlled_broker
from eventbus.topics import topic_plans
from tests.eventbus.conftest import bus, sample_room
from tests.kafka.secured import SecuredKafka, secured_kafka

__all__ = ["bus", "sample_room"]  # the bus's fixtures, for these tests too


@pytest.fixture(scope="session")
def apache_brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One real broker for the whole run; in CI its absence is an error."""
    with ExitStack() as stack:
        try:
            cluster = stack.enter_context(apache_kafka(nodes=1, directory=tmp_path_factory.mktemp("kafka")))
        except KafkaUnavailableError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no Apache Kafka: {error}")
        yield cluster.brokers


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """One broker with encryption, users and permissions for the whole run; in CI its absence is an error."""
    with ExitStack() as stack:
        try:
            kafka = stack.enter_context(secured_kafka(tmp_path_factory.mktemp("secured")))
        except KafkaUnavailableError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no Apache Kafka: {error}")
        yield kafka


@pytest.fixture
def builtin(bus: Any) -> Iterator[BuiltinBroker]:
    """A built-in broker that the test can make misbehave, with the planned topics."""
    with controlled_broker({plan.name: plan.partitions for plan in topic_plans()}) as broker:
        bus.EVENTBUS = {**bus.EVENTBUS, "brokers": broker.brokers, "fetch_wait_ms": 10}
        yield broker


@pytest.fixture(params=["builtin", pytest.param("apache", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest, bus: Any) -> str:
    """The name of the broker that EVENTBUS now points at; topics get a prefix of their own on the shared one."""
    if request.param == "builtin":
        request.getfixturevalue("builtin")
    else:
        address = request.getfixturevalue("apache_brokers")
        bus.EVENTBUS = {**bus.EVENTBUS, "brokers": address, "topic_prefix": f"t{uuid4().hex[:8]}."}
    return str(request.param)
