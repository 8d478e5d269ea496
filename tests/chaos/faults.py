"""What can be done to the platform: each fault strikes, lasts, and is healed."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.chaos.platform import Platform

NETWORK, EVERY_BROKER = "network to ", "every broker"
PID_SECONDS = 60.0
SLOW_MILLISECONDS = 600


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One line of a plan; `at` and `lasts` are seconds, `at` from the start of the faults."""

    at: float
    kind: str
    target: str
    lasts: float = 0.0

    def __str__(self) -> str:
        return f"{self.target} {self.kind}" + (f" for {self.lasts:.1f} s" if self.lasts else "")

    @property
    def row(self) -> str:
        """Under which name it is counted: without the number of its target."""
        return f"{self.target.rstrip('-0123456789')} {self.kind}"

    def touches(self, platform: Platform) -> list[str]:
        """What no two faults may have in hand at once."""
        if self.target.startswith(NETWORK):
            return [NETWORK + broker for broker in brokers(platform, self.target)]
        return [self.target]


def kill(platform: Platform, name: str) -> None:
    """kill -9 of the process and of all in its process group; the manager starts it again."""
    wait_for_pid(platform, name)
    platform.process(name).kill()


def stop(platform: Platform, name: str) -> None:
    """In good order: it may finish what it holds."""
    platform.manager.stop_process(name)


def start(platform: Platform, name: str) -> None:
    """Again, and return when it is ready."""
    platform.manager.start_process(name)


def freeze(platform: Platform, name: str) -> None:
    """Stop the process where it is: its connections stay open, and it believes that no time has passed."""
    os.killpg(wait_for_pid(platform, name), signal.SIGSTOP)


def thaw(platform: Platform, name: str) -> None:
    """Let it go on."""
    pid = platform.process(name).pid
    if pid is not None:
        os.killpg(pid, signal.SIGCONT)


def wait_for_pid(platform: Platform, name: str) -> int:
    """The process's id, once the manager has started it again after an earlier fault."""
    deadline = time.monotonic() + PID_SECONDS
    while (pid := platform.process(name).pid) is None:
        if time.monotonic() > deadline:
            raise AssertionError(f"{name} is not running after {PID_SECONDS:g} s")
        time.sleep(0.1)
    return pid


def nothing(_platform: Platform, _name: str) -> None:
    """It heals by itself."""


def cut(platform: Platform, name: str) -> None:
    """Between the clients and one broker, or every one; the brokers still reach one another. So for the next two."""
    for broker in brokers(platform, name):
        platform.toxiproxy.cut(broker)


def silence(platform: Platform, name: str) -> None:
    """Connections stay open, and nothing comes through."""
    for broker in brokers(platform, name):
        platform.toxiproxy.silence(broker)


def slow_down(platform: Platform, name: str) -> None:
    """Everything comes through, late."""
    for broker in brokers(platform, name):
        platform.toxiproxy.slow_down(broker, milliseconds=SLOW_MILLISECONDS)


def mend(platform: Platform, name: str) -> None:
    """The network as it was; open connections are cut."""
    for broker in brokers(platform, name):
        platform.toxiproxy.heal(broker)


def brokers(platform: Platform, name: str) -> list[str]:
    """The brokers whose clients a fault of the network concerns: one, or every one."""
    broker = name.removeprefix(NETWORK)
    return platform.size.broker_names if broker == EVERY_BROKER else [broker]


@dataclass(frozen=True)
class Kind:
    """How it strikes and how it is healed."""

    strike: Callable[[Platform, str], None]
    heal: Callable[[Platform, str], None]


KINDS: Mapping[str, Kind] = {
    "killed": Kind(kill, nothing),
    "stopped": Kind(stop, start),
    "frozen": Kind(freeze, thaw),
    "cut": Kind(cut, mend),
    "silent": Kind(silence, mend),
    "slow": Kind(slow_down, mend),
}
