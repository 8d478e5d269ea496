"""Kafka's own command line tools, pointed at the running stack.

python -m devstack kafka topics --list
"""

import subprocess
from collections.abc import Sequence

from devstack.exceptions import KafkaUnavailableError
from devstack.kafka_jars import java_command

TOOLS = {
    "topics": "org.apache.kafka.tools.TopicCommand",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "groups": "org.apache.kafka.tools.GroupsCommand",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "configs": "kafka.admin.ConfigCommand",
    "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
    "producer-performance": "org.apache.kafka.tools.ProducerPerformance",
    "consumer-performance": "org.apache.kafka.tools.ConsumerPerformance",
}


def run_tool(
    tool: str, arguments: Sequence[str], *, brokers: str, capture: bool = False
) -> "subprocess.CompletedProcess[str]":
    """Run one tool against these brokers, at the terminal or for its output."""
    if tool not in TOOLS:
        raise KafkaUnavailableError(f"no tool {tool!r}; there are {', '.join(TOOLS)}")
    command = java_command(TOOLS[tool], "--bootstrap-server", brokers, *arguments)
    return subprocess.run(command, capture_output=capture, text=True, check=False)
