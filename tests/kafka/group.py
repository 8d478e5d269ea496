"""Consumer processes of the sample room beside a test, and what they did."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connection

from devstack.programs import PROJECT
from eventbus.conf import bus_settings

PATIENCE = 60.0  # seconds; a good day needs a few


class Member:
    """One process of the group, its log in a file."""

    def __init__(self, bus: Any, log: Path, **eventbus: Any) -> None:
        self.log = log
        described = {**bus.EVENTBUS, "brokers": bus_settings().brokers, **eventbus}
        with log.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.kafka.member", json.dumps(described)],
                cwd=PROJECT,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={"DATABASE_URL": database_url(), "PATH": "/usr/bin:/bin"},
            )

    @property
    def has_partitions(self) -> bool:
        """Whether the group has ever given it any."""
        return "partitions assigned: " in self.log.read_text()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def database_url() -> str:
    """The test database, for another process."""
    described = connection.settings_dict
    return f"postgres://{described['USER']}@{described['HOST']}:{described['PORT']}/{described['NAME']}"


@contextmanager
def members(bus: Any, folder: Path) -> Iterator[Callable[..., Member]]:
    """Starts members by number; none outlives the test."""
    started: list[Member] = []

    def start(**eventbus: Any) -> Member:
        started.append(Member(bus, folder / f"member-{len(started)}.log", **eventbus))
        return started[-1]

    try:
        yield start
    finally:
        for member in started:
            if member.process.poll() is None:
                member.kill()


def eventually(is_so: Callable[[], bool], *, during: Callable[[], object] = lambda: None) -> None:
    """Wait until it is so; fails after PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it did not come about"
        during()
        time.sleep(0.05)
