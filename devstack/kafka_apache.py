"""Apache Kafka itself, one node or several, as children of the process manager."""

import json
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from devstack.exceptions import KafkaUnavailableError
from devstack.kafka_jars import installed_jars, java_command
from devstack.kafka_tools import run_tool
from devstack.managed import Program
from devstack.output import Output
from devstack.ports import LOOPBACK, free_port, preferred_port
from devstack.processes import ProcessManager

FIRST_PORT = 9092
PROBE_SECONDS = 2.0
PROPERTIES = """\
process.roles=broker,controller
node.id={node.number}
listeners=PLAINTEXT://{host}:{node.port},CONTROLLER://{host}:{node.controller_port}
advertised.listeners=PLAINTEXT://{host}:{node.port},CONTROLLER://{host}:{node.controller_port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers={controllers}
log.dirs={directory}/log
auto.create.topics.enable=false
default.replication.factor={replicas}
min.insync.replicas={min_insync}
offsets.topic.num.partitions=4
offsets.topic.replication.factor={replicas}
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={min_insync}
share.coordinator.state.topic.num.partitions=4
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={min_insync}
# A developer restarts and kills things all day: notice it in seconds, on little memory and few threads.
group.initial.rebalance.delay.ms=0
group.consumer.min.heartbeat.interval.ms=500
group.consumer.heartbeat.interval.ms=500
group.consumer.min.session.timeout.ms=6000
group.consumer.session.timeout.ms=6000
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
num.network.threads=1
num.io.threads=2
log.cleaner.dedupe.buffer.size=4194304
"""


@dataclass(frozen=True)
class Node:
    """One member of the cluster, a broker and a controller at once."""

    number: int
    directory_id: str
    port: int
    controller_port: int

    @property
    def name(self) -> str:
        return f"kafka-{self.number}"


@dataclass(frozen=True)
class Layout:
    """Who belongs to the cluster; kept beside the data, because the data remembers it too."""

    cluster_id: str
    nodes: tuple[Node, ...]

    @property
    def brokers(self) -> str:
        """The bootstrap addresses."""
        return ",".join(f"{LOOPBACK}:{node.port}" for node in self.nodes)


class ApacheKafka:
    """A running cluster."""

    def __init__(self, layout: Layout, manager: ProcessManager) -> None:
        self.brokers = layout.brokers
        self._names = {node.number: node.name for node in layout.nodes}
        self._manager = manager

    def kill(self, node: int = 1) -> None:
        """End a node the hard way; it stays away until it is started."""
        process = self._manager.process(self._names[node])
        process.kill()
        process.wait(process.program.stop_seconds)

    def stop(self, node: int = 1) -> None:
        """Stop a node in good order; it stays away until it is started."""
        self._manager.stop_process(self._names[node])

    def start(self, node: int = 1) -> None:
        """Start a node again and return when it has joined the others."""
        self._manager.start_process(self._names[node])

    def cli(self, tool: str, *arguments: str) -> str:
        """What one of Kafka's own tools (`topics`, `consumer-groups`, ...) prints about this cluster."""
        result = run_tool(tool, arguments, brokers=self.brokers, capture=True)
        if result.returncode != 0:
            raise KafkaUnavailableError(f"kafka {tool} failed:\n{result.stdout}{result.stderr}")
        return str(result.stdout)


@contextmanager
def apache_kafka(
    *, nodes: int = 1, directory: Path | None = None, output: Output | None = None
) -> Iterator[ApacheKafka]:
    """A cluster of this many nodes on free ports; without a directory it leaves nothing behind."""
    with TemporaryDirectory(prefix="tributary-kafka-") as temporary:
        folder = directory or Path(temporary)
        layout = prepare(folder, nodes=nodes, free_ports=True)
        with ProcessManager(logs=folder / "logs", output=output) as manager:
            manager.start(*node_programs(folder, layout, restarts=False))
            yield ApacheKafka(layout, manager)


def prepare(directory: Path, *, nodes: int = 1, free_ports: bool = False) -> Layout:
    """Lay out and format a cluster in this directory, or find the one that is there."""
    installed_jars()
    saved = directory / "cluster.json"
    if saved.exists():
        return read_layout(saved)
    layout = new_layout(nodes, free_ports=free_ports)
    for node in layout.nodes:
        folder = directory / node.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "server.properties").write_text(properties(layout, node, folder))
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda node: format_storage(directory / node.name, layout), layout.nodes))
    # Written last: a directory without it is formatted again from the start.
    saved.write_text(json.dumps(asdict(layout), indent=2))
    return layout


def read_layout(saved: Path) -> Layout:
    """The layout that an earlier start wrote down."""
    content = json.loads(saved.read_text())
    return Layout(content["cluster_id"], tuple(Node(**node) for node in content["nodes"]))


def new_layout(nodes: int, *, free_ports: bool) -> Layout:
    """Invent ids and choose ports."""
    members = []
    for number in range(1, nodes + 1):
        wished = FIRST_PORT + 2 * (number - 1)
        port, controller_port = (
            (free_port(), free_port()) if free_ports else (preferred_port(wished), preferred_port(wished + 1))
        )
        members.append(Node(number, new_id(), port, controller_port))
    return Layout(new_id(), tuple(members))


def new_id() -> str:
    """A random id as Kafka writes them: 22 URL-safe characters that do not begin with a dash."""
    while True:
        text = urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def properties(layout: Layout, node: Node, directory: Path) -> str:
    """The server.properties of one node."""
    replicas = min(3, len(layout.nodes))
    return PROPERTIES.format(
        node=node,
        host=LOOPBACK,
        directory=directory.resolve(),
        controllers=",".join(f"{LOOPBACK}:{member.controller_port}" for member in layout.nodes),
        replicas=replicas,
        min_insync=max(1, replicas - 1),
    )


def format_storage(directory: Path, layout: Layout) -> None:
    """Write a node's empty storage."""
    voters = ",".join(f"{n.number}@{LOOPBACK}:{n.controller_port}:{n.directory_id}" for n in layout.nodes)
    command = java_command(
        "kafka.tools.StorageTool",
        "format",
        "--ignore-formatted",
        *("-t", layout.cluster_id, "--initial-controllers", voters),
        *("-c", str(directory / "server.properties")),
    )
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise KafkaUnavailableError(f"Kafka could not format its storage:\n{result.stdout}{result.stderr}")


def node_programs(directory: Path, layout: Layout, *, restarts: bool) -> Sequence[Program]:
    """The programs that make up the cluster."""
    return [
        Program(
            name=node.name,
            command=java_command("kafka.Kafka", str(directory / node.name / "server.properties")),
            directory=directory / node.name,
            ready=partial(node_is_ready, node),
            restarts=restarts,
        )
        for node in layout.nodes
    ]


def node_is_ready(node: Node) -> bool:
    """Whether this node serves clients and the cluster with it has a controller; an open port alone says nothing."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    client = AdminClient({"bootstrap.servers": f"{LOOPBACK}:{node.port}", "log_level": 2})
    try:
        cluster = client.describe_cluster(request_timeout=PROBE_SECONDS).result()
    except KafkaException:
        return False
    return cluster.controller is not None and node.number in {member.id for member in cluster.nodes}
