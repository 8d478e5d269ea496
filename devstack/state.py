"""The directory of one stack: its lock, what runs in it, and its secret key."""

import fcntl
import json
import os
import secrets
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

import psutil

from devstack.exceptions import AlreadyRunningError, NotRunningError

POLL_SECONDS = 0.1
# Longer than the guardian's grace time: it holds the lock while it clears away what a killed manager left.
CLEARING_SECONDS = 15.0


@dataclass(kw_only=True)
class State:
    """What is known about a running stack; SECRET_KEY stays in its own file."""

    manager: int
    kafka: str
    base_url: str
    database_url: str
    brokers: str
    environment: dict[str, str]
    ready: bool = False
    processes: dict[str, int | None] = field(default_factory=dict)


class StackDirectory:
    """Where a stack keeps its files; one stack at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.state_file = self.path / "state.json"
        self.logs = self.path / "logs"
        self._lock_file = self.path / "lock"
        self._lock: IO[str] | None = None
        self._writing = threading.Lock()

    def acquire(self) -> int:
        """Take the directory for this process; give the lock's file descriptor for the guardian to hold as well."""
        self.path.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + CLEARING_SECONDS
        lock = self._lock_file.open("a")
        while not try_lock(lock):
            if self._manager_is_alive() or time.monotonic() > deadline:
                lock.close()
                raise AlreadyRunningError(f"a stack is already running on {self.path}: see `python -m devstack status`")
            time.sleep(POLL_SECONDS)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self.state_file.unlink(missing_ok=True)
        self._lock = lock
        return lock.fileno()

    def release(self) -> None:
        """Let others have it."""
        if self._lock is not None:
            self.state_file.unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def is_in_use(self) -> bool:
        """Whether a stack, or the guardian of a killed one, holds the directory."""
        if not self._lock_file.exists():
            return False
        with self._lock_file.open("a") as lock:
            return not try_lock(lock)

    def wait_until_free(self, seconds: float) -> bool:
        """Wait until nobody holds it; false when the time is up first."""
        deadline = time.monotonic() + seconds
        while self.is_in_use():
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def write(self, state: State) -> None:
        """Replace the state in one piece."""
        with self._writing:
            fresh = self.state_file.with_suffix(".new")
            fresh.touch(mode=0o600)
            fresh.write_text(json.dumps(asdict(state), indent=2))
            fresh.replace(self.state_file)

    def read(self) -> State:
        """What runs here."""
        if not self.is_in_use() or not self._manager_is_alive() or not self.state_file.exists():
            raise NotRunningError(f"no stack is running on {self.path}: start one with `python -m devstack up`")
        return State(**json.loads(self.state_file.read_text()))

    def secret_key(self) -> str:
        """The key of this directory, made once, so that log-ins survive a restart."""
        file = self.path / "secret-key"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(50))
        return file.read_text()

    def _manager_is_alive(self) -> bool:
        manager = self._lock_file.read_text()
        if not manager:
            return True
        try:
            # One that was killed and that nobody has waited for yet still has its pid.
            return bool(psutil.Process(int(manager)).status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False


def try_lock(file: IO[str]) -> bool:
    """Lock without waiting; false when somebody else has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
