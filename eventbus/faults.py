"""Named points at which a test may break in: crash the process there, hold it, or let another one overtake it.

Unarmed, a point costs one look into an empty dictionary. Only tests arm them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

POINTS = frozenset(
    {
        "before_produce",  # the relay has read its rows and sent none
        "after_ack_before_delete",  # the broker has them, the outbox too
        "before_batch",  # the consumer has taken messages and touched no table
        "before_commit",  # claims and effects are written and can still be lost
        "before_park",  # a message failed alone and is not parked yet
        "after_commit_before_offsets",  # effects are there, Kafka will send the messages again
        "before_retry",  # an attempt is counted and not made
        "during_replay",  # a page of a replay is done and its position not kept yet
        "during_revoke",  # partitions are being taken from this consumer, what it stored is not committed yet
        "during_retry",  # a retried event's effects are written and can still be lost
    }
)

_armed: dict[str, Callable[[], None]] = {}


def fault(point: str) -> None:
    """Do what was armed at this point: normally nothing."""
    action = _armed.get(point)
    if action is not None:
        action()


@contextmanager
def armed(point: str, action: Callable[[], None]) -> Iterator[None]:
    """Call `action` whenever a thread of this process comes by the point; raises KeyError for an unknown one."""
    if point not in POINTS:
        raise KeyError(point)
    _armed[point] = action
    try:
        yield
    finally:
        del _armed[point]
