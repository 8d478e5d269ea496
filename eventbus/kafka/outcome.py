"""What the broker said about the rows of one round, and what follows from it for each of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from confluent_kafka import KafkaError

from eventbus.kafka.access import DENIALS, is_denial
from eventbus.messages import Row

PERMANENT = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.INVALID_RECORD,
        KafkaError.POLICY_VIOLATION,
    }
)
MISSING = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})


def is_permanent(error: KafkaError) -> bool:
    """Whether the broker refuses this message whatever the time and the connection."""
    return error.code() in PERMANENT


@dataclass(slots=True)
class Outcome:
    """The answers to one round's rows; a row without one may or may not have been written."""

    rows: Sequence[Row]
    answers: dict[int, KafkaError | None] = field(default_factory=dict)  # row id: why it failed, or None
    failed: set[tuple[str, str]] = field(default_factory=set)  # topic and key of what failed
    broken: str = ""  # why the producer came to its end, if it did

    def answer(self, row: Row, error: KafkaError | None) -> None:
        """Note what became of one row."""
        self.answers[row.id] = error
        if error is not None:
            self.failed.add((row.topic, row.key))

    def forget(self, rows: Sequence[Row]) -> None:
        """Take the answers to these rows for not given."""
        for row in rows:
            del self.answers[row.id]
        self.failed = {(row.topic, row.key) for row, _ in self._failures()}

    def acknowledged(self) -> Sequence[Row]:
        """The rows that may go: of each key only those before its first that has no good answer."""
        if not self.failed and len(self.answers) == len(self.rows):
            return self.rows
        stopped: set[tuple[str, str]] = set()
        gone = []
        for row in self.rows:
            place = (row.topic, row.key)
            if place not in stopped and self.answers.get(row.id, UNANSWERED) is None:
                gone.append(row)
            else:
                stopped.add(place)
        return gone

    def refused(self) -> list[tuple[Row, str]]:
        """The rows that the broker will never take, with its reason."""
        return [(row, error.str()) for row, error in self._failures() if is_permanent(error)]

    def denied(self) -> set[str]:
        """The topics that access control may have closed: those refused, or all when it ended the producer."""
        if is_denial(self.broken):
            return {row.topic for row in self.rows}
        return {row.topic for row, error in self._failures() if error.code() in DENIALS}

    def missing(self) -> set[str]:
        """The topics that the broker does not know any more."""
        return {row.topic for row, error in self._failures() if error.code() in MISSING}

    def trouble(self) -> str:
        """Why the first failed row failed."""
        return self.broken or next((error.str() for _, error in self._failures()), "no answer in time")

    def _failures(self) -> list[tuple[Row, KafkaError]]:
        if not self.failed:
            return []
        return [(row, error) for row in self.rows if (error := self.answers.get(row.id)) is not None]


UNANSWERED = object()
