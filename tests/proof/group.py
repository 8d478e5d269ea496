"""A consumer group with several members on the broker in memory: who owns which partition, and how far each is read."""

from eventbus.kafka.memory import MemoryConsumer, Place
from eventbus.messages import Message
from tests.proof.broker import PARTITIONS, Broker

TOPIC = "sample.counted"


class Group:
    """Partitions, their owners and their committed offsets."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.owner = dict.fromkeys(range(PARTITIONS), 0)
        self.committed = broker.committed[TOPIC]
        self.position: dict[Place, int] = {}

    def assign(self, partition: int, member: int) -> None:
        """Give a partition to a member, which reads from what is committed."""
        self.owner[partition] = member
        self.position[TOPIC, partition] = self.committed.get((TOPIC, partition), 0)

    def give_all_to(self, member: int) -> None:
        """Everybody else has left."""
        for partition in self.owner:
            self.assign(partition, member)

    def lag(self) -> int:
        """How many messages are not committed."""
        return len(self.broker.messages(TOPIC)) - sum(self.committed.values())


class Source(MemoryConsumer):
    """One member, which reads and commits what it owns; where its group stands is the group's."""

    def __init__(self, group: Group, member: int) -> None:
        super().__init__(group.broker, group=TOPIC, topics=[TOPIC])
        self.group, self.member, self._position = group, member, group.position

    def owns(self, message: Message) -> bool:
        return self.group.owner[message.partition] == self.member

    def _places(self) -> list[Place]:
        return [place for place in super()._places() if self.group.owner[place[1]] == self.member]
