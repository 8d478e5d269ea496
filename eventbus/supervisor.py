"""Keeps one process a room alive: restarts what dies, with growing pauses, and stops them all together."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

logger = logging.getLogger(__name__)

SUPERVISOR_VARIABLE = "TRIBUTARY_SUPERVISOR_PID"
FIRST_PAUSE, LONGEST_PAUSE, STEADY_SECONDS, GRACE_SECONDS = 0.5, 30.0, 60.0, 25.0


@dataclass(slots=True)
class Child:
    """One supervised command."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    due_at: float = 0.0
    pause: float = FIRST_PAUSE


class Supervisor:
    """Runs commands until `stop()`, which gives them GRACE_SECONDS to finish what they hold."""

    def __init__(self, commands: dict[str, Sequence[str]]) -> None:
        self._children = [Child(name, command) for name, command in commands.items()]
        self._stop = threading.Event()

    def stop(self, *_: object) -> None:
        """Ask every child to finish, and return from run() when they have."""
        self._stop.set()

    def run(self) -> None:
        """Start every child and keep it running."""
        while not self._stop.is_set():
            for child in self._children:
                self._look_after(child)
            self._stop.wait(0.1)
        self._end()

    def run_once(self) -> int:
        """Start every child, wait until all have ended by themselves; the highest exit status."""
        for child in self._children:
            self._start(child)
        while not self._stop.is_set() and any(c.process and c.process.poll() is None for c in self._children):
            self._stop.wait(0.1)
        self._end()
        return max(abs(child.process.returncode) if child.process else 1 for child in self._children)

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if now >= child.due_at:
                self._start(child)
            return
        status = child.process.poll()
        if status is None:
            return
        if now - child.started_at > STEADY_SECONDS:
            child.pause = FIRST_PAUSE
        logger.error("%s ended with status %d, starting it again in %g s", child.name, status, child.pause)
        child.process, child.due_at = None, now + child.pause
        child.pause = min(child.pause * 2, LONGEST_PAUSE)

    def _start(self, child: Child) -> None:
        environment = {**os.environ, SUPERVISOR_VARIABLE: str(os.getpid())}
        child.process = subprocess.Popen(child.command, env=environment)  # noqa: S603 - our own command line
        child.started_at = time.monotonic()

    def _end(self) -> None:
        running = [child.process for child in self._children if child.process and child.process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.warning(
                    "process %d did not stop in time and is killed; its batch will be handled again", process.pid
                )
                process.kill()
                process.wait()


def manage_command(*arguments: str) -> list[str]:
    """The command line that runs one of our management commands as another process."""
    return [sys.executable, sys.argv[0], *arguments]


def when_orphaned(stop: Callable[[], None]) -> None:
    """In a supervised child: call `stop` once the supervisor is gone, so that no process is left behind."""
    parent = os.environ.get(SUPERVISOR_VARIABLE)
    if parent is None or int(parent) != os.getppid():
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(0.5)
        logger.warning("the supervisor is gone: stopping")
        stop()

    threading.Thread(target=watch, name="supervisor-watch", daemon=True).start()
