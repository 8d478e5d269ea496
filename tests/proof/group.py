"""A consumer group on the broker in memory: who owns which partition, and how far it is committed."""

from collections.abc import Collection, Iterable

from eventbus.kafka.connection import Connection
from eventbus.messages import Message
from tests.proof.broker import PARTITIONS, Broker

TOPIC = "sample.counted"


class Group:
    """Partitions, their owners and their committed offsets."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.owner = dict.fromkeys(range(PARTITIONS), 0)
        self.committed = dict.fromkeys(range(PARTITIONS), 0)
        self.position = dict.fromkeys(range(PARTITIONS), 0)

    def assign(self, partition: int, member: int) -> None:
        """Give a partition to a member, which reads from what is committed."""
        self.owner[partition] = member
        self.position[partition] = self.committed[partition]

    def give_all_to(self, member: int) -> None:
        """Everybody else has left."""
        for partition in self.owner:
            self.assign(partition, member)

    def lag(self) -> int:
        """How many messages are not committed."""
        return sum(len(self.broker.logs[TOPIC, n]) - committed for n, committed in self.committed.items())


class Source:
    """Answers like EventConsumer, for one member."""

    def __init__(self, group: Group, member: int) -> None:
        self.group, self.member = group, member
        self.connection = Connection("consumer")
        self.gained_at: dict[tuple[str, int], float] = {}
        self.paused: set[str] = set()

    def take(self, limit: int, seconds: float) -> list[Message]:
        taken: list[Message] = []
        if TOPIC in self.paused:
            return taken
        for partition, owner in self.group.owner.items():
            if owner == self.member:
                start = self.group.position[partition]
                found = self.group.broker.logs[TOPIC, partition][start : start + limit - len(taken)]
                self.group.position[partition] += len(found)
                taken += found
        return taken

    def done(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if self.owns(message):
                self.group.committed[message.partition] = max(
                    message.offset + 1, self.group.committed[message.partition]
                )

    def is_caught_up(self, *, besides: Collection[str] = ()) -> bool:
        mine = [number for number, owner in self.group.owner.items() if owner == self.member]
        ends = {number: len(self.group.broker.logs[TOPIC, number]) for number in mine}
        return TOPIC in besides or all(self.group.position[number] == end for number, end in ends.items())

    def owns(self, message: Message) -> bool:
        return self.group.owner[message.partition] == self.member

    def put_back(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if self.owns(message):
                self.group.position[message.partition] = min(message.offset, self.group.position[message.partition])

    def pause_only(self, topics: Collection[str]) -> None:
        self.paused = set(topics)

    def stay_in_group(self, seconds: float) -> None:
        """Nobody is thrown out of this group for silence."""

    def close(self) -> None:
        """Nothing is open."""
