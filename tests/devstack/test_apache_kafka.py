"""Apache Kafka from its jars; the tests of its installation need neither Java nor Maven."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from devstack import kafka_jars
from devstack.exceptions import KafkaUnavailableError
from devstack.kafka_apache import apache_kafka, new_id, new_layout, properties
from devstack.programs import PROJECT

CLIENT = Path(__file__).with_name("kafka_client.py")


@pytest.fixture(scope="module")
def jars():
    """The installed jars; without them the test is skipped with the reason, but in CI it fails."""
    try:
        kafka_jars.java()
        return kafka_jars.installed_jars()
    except KafkaUnavailableError as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))


def send_and_read(brokers, topic, *texts):
    line = [sys.executable, CLIENT, brokers, topic, *texts]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.kafka
def test_one_node_keeps_what_was_sent_through_a_kill(jars):
    with apache_kafka() as cluster:
        cluster.cli("topics", "--create", "--topic", "orders.placed", "--partitions", "3")
        sent = send_and_read(cluster.brokers, "orders.placed", "one", "two")
        cluster.kill()
        cluster.start()
        offsets = cluster.cli("get-offsets", "--topic", "orders.placed")
        more = send_and_read(cluster.brokers, "orders.placed", "three")

    assert sent.stdout == "one two\n", sent.stderr
    assert sum(int(line.rpartition(":")[2]) for line in offsets.split()) == 2
    assert more.stdout == "three\n", more.stderr


@pytest.mark.kafka
def test_three_nodes_work_without_one(jars):
    with apache_kafka(nodes=3) as cluster:
        words = ("--partitions", "3", "--replication-factor", "3")
        cluster.cli("topics", "--create", "--topic", "orders.placed", *words)
        cluster.kill(1)
        without = send_and_read(cluster.brokers, "orders.placed", "one")
        cluster.start(1)
        listed = cluster.cli("topics", "--list")

    assert len(cluster.brokers.split(",")) == 3
    assert (without.stdout, without.returncode) == ("one\n", 0), without.stderr
    assert "orders.placed" in listed.split()


@pytest.mark.kafka
def test_a_directory_keeps_its_cluster(jars, tmp_path):
    with apache_kafka(directory=tmp_path) as cluster:
        cluster.cli("topics", "--create", "--topic", "orders.placed", "--partitions", "1")
        first = cluster.brokers

    with apache_kafka(directory=tmp_path) as cluster:
        assert cluster.brokers == first
        assert "orders.placed" in cluster.cli("topics", "--list").split()


@pytest.mark.kafka
def test_the_tools_run_from_the_command_line(jars):
    with apache_kafka() as cluster:
        environment = {**os.environ, "KAFKA_BROKERS": cluster.brokers}
        create = ("topics", "--create", "--topic", "orders", "--partitions", "1")
        for words in (create, ("topics", "--list")):
            line = [sys.executable, "-m", "devstack", "kafka", *words]
            result = subprocess.run(line, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)

    assert result.stdout == "orders\n"


@pytest.fixture
def bare_machine(tmp_path, monkeypatch):
    """A machine with an empty cache, no Java and no Maven."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return tmp_path


def install_program(folder, name, script):
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_without_java_the_remedy_is_told(bare_machine):
    with pytest.raises(KafkaUnavailableError, match=r"^no java found; Apache Kafka needs Java 17 or newer: install"):
        kafka_jars.java()


def test_an_old_java_is_refused(bare_machine):
    install_program(bare_machine, "java", "echo 'openjdk version \"11.0.2\"' >&2")

    with pytest.raises(KafkaUnavailableError, match=r"/java is too old; "):
        kafka_jars.java()


def test_without_maven_the_remedy_is_told_and_nothing_is_installed(bare_machine):
    with pytest.raises(KafkaUnavailableError, match=r"^no mvn found; .* install it"):
        kafka_jars.installed_jars()

    assert not kafka_jars.cache_folder().exists()


def test_a_failing_maven_is_quoted(bare_machine):
    install_program(bare_machine, "mvn", "echo '[ERROR] no route to host'; exit 1")

    with pytest.raises(KafkaUnavailableError, match=r"could not fetch Apache Kafka .*\n\[ERROR\] no route to host$"):
        kafka_jars.installed_jars()


def test_a_changed_jar_is_refused_and_not_installed(bare_machine, monkeypatch):
    lock = bare_machine / "jars.lock"
    lock.write_text(f"good.jar {hashlib.sha256(b'good').hexdigest()}\nevil.jar {hashlib.sha256(b'good').hexdigest()}\n")
    monkeypatch.setattr(kafka_jars, "LOCK", lock)
    monkeypatch.setenv("PATH", f"{bare_machine}:/usr/bin:/bin")
    copy = 'for word; do case "$word" in -DoutputDirectory=*) libs=${word#*=};; esac; done; mkdir -p "$libs"'
    install_program(bare_machine, "mvn", f'{copy}; printf good > "$libs/good.jar"; printf evil > "$libs/evil.jar"')

    with pytest.raises(KafkaUnavailableError, match=r"^these jars differ from jars\.lock: evil\.jar$"):
        kafka_jars.installed_jars()

    assert not kafka_jars.cache_folder().exists()


def test_a_cluster_of_three_tolerates_the_loss_of_one():
    layout = new_layout(3, free_ports=True)

    written = properties(layout, layout.nodes[0], Path("/data")).splitlines()

    assert len({node.port for node in layout.nodes} | {node.controller_port for node in layout.nodes}) == 6
    assert "default.replication.factor=3" in written
    assert "min.insync.replicas=2" in written
    assert "offsets.topic.replication.factor=3" in written


def test_ids_are_what_kafka_accepts():
    ids = {new_id() for _ in range(200)}

    assert len(ids) == 200
    assert {len(text) for text in ids} == {22}
    assert not any(text.startswith("-") for text in ids)
