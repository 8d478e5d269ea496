"""The built-in broker, seen from a client in another process."""

import json
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from devstack.exceptions import BuiltinBrokerError
from devstack.kafka_builtin import builtin_broker, controlled_broker, obey, read_topic
from devstack.mock_cluster import MockCluster
from devstack.ports import free_port
from devstack.programs import PROJECT
from tests.devstack.conftest import eventually

CLIENT = Path(__file__).with_name("kafka_client.py")
PRODUCE = 0
MESSAGE_TOO_LARGE = 10


def send_and_read(brokers, topic, *texts):
    line = [sys.executable, CLIENT, brokers, topic, *texts]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize("fixed_port", [False, True])
def test_what_is_sent_is_read(fixed_port):
    port = free_port() if fixed_port else 0

    with builtin_broker({"orders.placed": 3}, port=port) as brokers:
        result = send_and_read(brokers, "orders.placed", "one", "three", "two")

    assert (result.stdout, result.stderr) == ("one three two\n", "")
    assert not fixed_port or brokers == f"127.0.0.1:{port}"


def test_a_topic_can_be_added_later_but_once():
    with controlled_broker({}) as broker:
        broker.create_topic("orders.paid", 2)
        with pytest.raises(BuiltinBrokerError, match=r"^Broker: Topic already exists$"):
            broker.create_topic("orders.paid", 2)
        result = send_and_read(broker.brokers, "orders.paid", "one")

    assert result.stdout == "one\n"


def test_an_injected_error_reaches_the_client():
    with controlled_broker({"orders.placed": 1}) as broker:
        broker.push_errors(PRODUCE, MESSAGE_TOO_LARGE)
        result = send_and_read(broker.brokers, "orders.placed", "one")

    assert result.returncode == 1
    assert "MSG_SIZE_TOO_LARGE" in result.stderr


def test_cleared_errors_do_not():
    with controlled_broker({"orders.placed": 1}) as broker:
        broker.push_errors(PRODUCE, MESSAGE_TOO_LARGE)
        broker.clear_errors(PRODUCE)
        result = send_and_read(broker.brokers, "orders.placed", "one")

    assert result.stdout == "one\n"


def test_a_broker_that_is_down_comes_up_again():
    with controlled_broker({"orders.placed": 1}) as broker:
        broker.set_down()
        down = send_and_read(broker.brokers, "orders.placed", "one", "--patience=5")
        broker.set_up()
        broker.set_round_trip(20)
        up = send_and_read(broker.brokers, "orders.placed", "two")

    assert down.stderr == "failed: [], undelivered: 1\n"
    assert up.stdout == "two\n"


def test_an_unknown_command_is_refused():
    assert obey(Mock(spec=MockCluster), "explode") == "error unknown command explode"


def test_a_topic_without_partitions_is_refused():
    with pytest.raises(Exception, match=r"^'orders\.placed' is not name:partitions$"):
        read_topic("orders.placed")


def test_the_broker_ends_with_its_input():
    process = subprocess.Popen(
        [sys.executable, "-m", "devstack.kafka_builtin", "--controlled"],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline().startswith("ok 127.0.0.1:")
        process.stdin.close()
        assert process.wait(10) == 0


def test_the_state_file_says_where_it_listens(tmp_path):
    port, state = free_port(), tmp_path / "broker.json"
    words = ("--port", str(port), "--state-file", str(state))
    with subprocess.Popen([sys.executable, "-m", "devstack.kafka_builtin", *words], cwd=PROJECT) as process:
        assert eventually(state.exists)
        process.terminate()

    assert json.loads(state.read_text()) == {"brokers": f"127.0.0.1:{port}", "pid": process.pid}
    assert process.returncode == 0
