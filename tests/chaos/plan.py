"""Which faults come when: all of it drawn from one seed, so that a run can be had again."""

import random
from collections.abc import Sequence

from tests.chaos.faults import EVERY_BROKER, NETWORK, Fault
from tests.chaos.platform import Size

# Drawn like cards: each is met once before any comes again.
CARDS = (
    *[("relay", "killed")] * 2,
    ("relay", "frozen"),
    ("relay", "stopped"),
    *[("consumer", "killed")] * 3,
    ("consumer", "frozen"),
    ("consumer", "stopped"),
    ("writer", "killed"),
    *[("broker", "killed")] * 2,
    ("broker", "frozen"),
    ("broker", "stopped"),
    ("postgres", "killed"),
    ("postgres", "stopped"),
    *[("network", "cut")] * 2,
    ("network", "silent"),
    *[("network", "slow")] * 2,
)
PAUSE_SECONDS = (0.5, 9.0)
# Longer than a relay's lease (10 s) and than the brokers' and the consumers' sessions (3 and 6 s), and shorter.
LASTING_SECONDS = {
    "killed": (0.0, 0.0),
    "frozen": (2.0, 14.0),
    "stopped": (0.5, 5.0),
    "cut": (1.0, 10.0),
    "silent": (2.0, 12.0),
    "slow": (5.0, 15.0),
}


def draw(size: Size, *, seed: int, seconds: float) -> list[Fault]:
    """The faults of a run of so many seconds."""
    chance = random.Random(seed)
    faults: list[Fault] = []
    cards: list[tuple[str, str]] = []
    at = chance.uniform(*PAUSE_SECONDS)
    while at < seconds:
        if not cards:
            cards = chance.sample(CARDS, len(CARDS))
        what, kind = cards.pop()
        target = chance.choice(targets(size, what))
        lasts = chance.uniform(*LASTING_SECONDS[kind])
        faults.append(Fault(at=at, kind=kind, target=target, lasts=lasts))
        at += chance.uniform(*PAUSE_SECONDS)
    return faults


def targets(size: Size, what: str) -> Sequence[str]:
    """What a card may mean."""
    return {
        "relay": size.relay_names,
        "consumer": size.consumer_names,
        "writer": size.writer_names,
        "broker": size.broker_names,
        "postgres": ["postgres"],
        "network": [NETWORK + name for name in (*size.broker_names, EVERY_BROKER)],
    }[what]
