"""The broker in memory as the proofs look at it."""

from eventbus.kafka.memory import MemoryBroker, MemoryProducer

PARTITIONS = 2
RecordingProducer = MemoryProducer


class Broker(MemoryBroker):
    """Two partitions for every topic."""

    def ids_by_key(self, topic: str = "sample.counted") -> dict[str, list[str]]:
        """The event ids on a topic by key, each where it was written first."""
        found: dict[str, list[str]] = {}
        for message in self.messages(topic):
            ids = found.setdefault(message.key.decode(), [])
            if message.headers["ce_id"] not in ids:
                ids.append(message.headers["ce_id"])
        return found
