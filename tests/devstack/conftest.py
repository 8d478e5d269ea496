"""Fixtures for tests that start real processes."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from devstack.managed import Program
from devstack.processes import ProcessManager

PATIENCE_SECONDS = 20.0


def eventually(condition: Callable[[], bool], *, seconds: float = PATIENCE_SECONDS) -> bool:
    """Whether this becomes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_running(pid: int) -> bool:
    """Whether the process runs; one that has ended and only waits for its parent does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def descendants(pid: int) -> list[int]:
    """Everybody whom this process started, and whom they started."""
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Not pytest's own: for root, the start of another pytest run would lock PostgreSQL's user out of it."""
    with TemporaryDirectory(prefix="tributary-tests-") as directory:
        yield Path(directory)


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment of a person's shell: nothing chosen that the devstack would respect."""
    chosen = {"DATABASE_URL", "KAFKA_BROKERS", "CELERY_BROKER_URL"}
    return {name: value for name, value in os.environ.items() if name not in chosen}


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., Program]:
    """Describe a program that is a line of shell."""

    def describe(name: str, line: str, **settings: object) -> Program:
        return Program(name=name, command=("sh", "-c", line), directory=tmp_path, **settings)

    return describe


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ProcessManager]:
    with ProcessManager(logs=tmp_path / "logs") as running:
        yield running
