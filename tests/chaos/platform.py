"""Everything that runs: database, brokers behind a proxy, relays, consumer groups and writers, as real processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from devstack import programs
from devstack.kafka_apache import Node, node_programs, prepare
from devstack.managed import ManagedProcess, Program
from devstack.ports import LOOPBACK, free_port
from devstack.postgres import create_database, database_url, postgres_program
from devstack.processes import ProcessManager
from devstack.toxiproxy import Toxiproxy
from tests.chaos import tables

# Later lines win. The brokers speak to one another, and we to them, where no proxy is; clients are sent to the proxies.
CLIENTS_LISTENER = """
listeners=PLAINTEXT://{host}:{node.port},CLIENTS://{host}:{behind},CONTROLLER://{host}:{node.controller_port}
advertised.listeners=PLAINTEXT://{host}:{node.port},CLIENTS://{host}:{proxied},CONTROLLER://{host}:{node.controller_port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CLIENTS:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
"""
BROKER_SECONDS = 240.0  # one that comes back while another is away waits for a controller
RELAY = "relay_outbox"


@dataclass(frozen=True, kw_only=True)
class Size:
    """How many of each."""

    brokers: int = 3
    relays: int = 2
    groups: int = 2
    consumers: int = 4  # of each group
    journals: int = 2  # consumers of the group that copies every event
    writers: int = 2

    @property
    def broker_names(self) -> list[str]:
        """The broker processes."""
        return [f"kafka-{n}" for n in range(1, self.brokers + 1)]

    @property
    def relay_names(self) -> list[str]:
        """The relay processes."""
        return [f"relay-{n}" for n in range(1, self.relays + 1)]

    @property
    def consumer_names(self) -> list[str]:
        """The consumer processes of every group, `consumer-GROUP-MEMBER`, and the journal's."""
        members = range(1, self.consumers + 1)
        rooms = [f"consumer-{group}-{member}" for group in range(1, self.groups + 1) for member in members]
        return rooms + [f"journal-{n}" for n in range(1, self.journals + 1)]

    @property
    def writer_names(self) -> list[str]:
        """The writer processes."""
        return [f"writer-{n}" for n in range(1, self.writers + 1)]


class Platform:
    """The running processes by name, and the database's own word."""

    def __init__(self, directory: Path, manager: ProcessManager, size: Size, relay: str) -> None:
        self.directory, self.manager, self.size = directory, manager, size
        self.groups = [f"chaos-group-{number}" for number in range(1, size.groups + 1)]
        self.toxiproxy = Toxiproxy(free_port())
        self._relay = relay
        self._database_port = free_port()
        self._environment = {
            "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
            "DATABASE_URL": database_url(self._database_port),
            "CHAOS_REPLICAS": str(size.brokers),
            "PYTHONUNBUFFERED": "1",
        }

    def process(self, name: str) -> ManagedProcess:
        """The process of this name."""
        return self.manager.process(name)

    def database(self) -> psycopg.Connection:
        """A connection to the database; raises psycopg.OperationalError while it is away."""
        return psycopg.connect(self._environment["DATABASE_URL"], autocommit=True, connect_timeout=5)

    def start(self) -> None:
        """Everything but the writers, in order."""
        self.manager.start(postgres_program(data=self.directory / "postgres", port=self._database_port))
        create_database(self._database_port)
        with self.database() as connection:
            tables.create(connection)
        self._start_brokers()
        self._finish("migrate", "migrate", "--no-input")
        self._finish("topics", "sync_topics")
        self.manager.start(*(self._manage(name, self._relay) for name in self.size.relay_names))
        self.manager.start(*(self._consumer(name) for name in self.size.consumer_names))

    def start_writing(self) -> None:
        """Let the writers begin."""
        self.manager.start(*(self._manage(name, "count") for name in self.size.writer_names))

    def stop(self, *names: str) -> None:
        """Stop these in good order."""
        for name in names:
            self.process(name).ask_to_stop()
        for name in names:
            self.process(name).make_stop()

    def drain(self) -> None:
        """With relays and consumers stopped: publish what waits, and let every group read its topics to their end."""
        self._finish("drain-outbox", RELAY, "--once")
        for number, group in enumerate(self.groups, start=1):
            self._finish(f"drain-{number}", "run_consumers", "tests", "--once", group=group)
        self._finish("drain-journal", "run_consumers", "journal", "--once")

    def _start_brokers(self) -> None:
        folder = self.directory / "kafka"
        layout = prepare(folder, nodes=self.size.brokers, free_ports=True)
        self.manager.start(self.toxiproxy.program(self.directory))
        proxied = [self._put_behind_proxy(folder, node) for node in layout.nodes]
        self._environment["KAFKA_BROKERS"] = ",".join(f"{LOOPBACK}:{port}" for port in proxied)
        nodes = node_programs(folder, layout, restarts=True)
        self.manager.start(*(replace(node, ready_seconds=BROKER_SECONDS) for node in nodes))

    def _put_behind_proxy(self, folder: Path, node: Node) -> int:
        behind, proxied = free_port(), free_port()
        self.toxiproxy.add(node.name, listen=proxied, upstream=behind)
        with (folder / node.name / "server.properties").open("a") as file:
            file.write(CLIENTS_LISTENER.format(host=LOOPBACK, node=node, behind=behind, proxied=proxied))
        return proxied

    def _consumer(self, name: str) -> Program:
        if name.startswith("journal"):
            return self._manage(name, "run_consumers", "journal")
        group = self.groups[int(name.split("-")[1]) - 1]
        return self._manage(name, "run_consumers", "tests", group=group)

    def _finish(self, name: str, *arguments: str, group: str = "") -> None:
        self.manager.run(replace(self._manage(name, *arguments, group=group), restarts=False))

    def _manage(self, name: str, *arguments: str, group: str = "") -> Program:
        environment = {**self._environment, "CHAOS_GROUP": group or self.groups[0]}
        return programs.manage(name, *arguments, project=programs.PROJECT, environment=environment)


@contextmanager
def running(directory: Path, *, size: Size, relay: str = RELAY) -> Iterator[Platform]:
    """A platform that counts nothing yet; stopped afterwards, whatever happened."""
    with ProcessManager(logs=directory / "logs") as manager:
        platform = Platform(directory, manager, size, relay)
        platform.start()
        yield platform
