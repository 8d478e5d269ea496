"""One program under the manager's eyes: started through launch.py, read line by line, started again when it crashes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from devstack.output import Output

LAUNCH = Path(__file__).with_name("launch.py")
LAST_LINES = 15
NOT_STARTED = 127
READER_SECONDS = 2.0
FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 10.0
STEADY_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run, and how to know that it is up.

    `user` is somebody to become, for a manager that runs as root. `ready` is asked every 0.1 s for at most
    `ready_seconds`. `stop_signal` goes to the process alone, so that it can wind down its own children; after
    `stop_seconds` the whole process group is killed.
    """

    name: str
    command: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    ready: Callable[[], bool] | None = None
    ready_seconds: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    restarts: bool = True


class ManagedProcess:
    """A program that is running, was running, or will run again in a moment.

    One thread of its own starts it and waits for it: the kernel ties the parent death signal to the thread that
    started the child, so that thread has to live as long as the child.
    """

    def __init__(self, program: Program, *, logs: Path, output: Output, on_group: Callable[[str, int], None]) -> None:
        self.program = program
        self.exit_status: int | None = None
        self.starts = 0
        self._log = logs / f"{program.name}.log"
        self._output = output
        self._on_group = on_group
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._popen: subprocess.Popen[bytes] | None = None
        self._supervisor: threading.Thread | None = None
        self._spawned = threading.Event()
        self._stopping = threading.Event()
        self._settled = threading.Event()
        self._log.unlink(missing_ok=True)

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._popen.pid if self._popen is not None and self._popen.returncode is None else None

    @property
    def is_alive(self) -> bool:
        """Whether it runs, or will run again after its backoff."""
        return self._supervisor is not None and self._supervisor.is_alive()

    @property
    def last_lines(self) -> list[str]:
        return list(self._lines)

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        if self.exit_status is None:
            return "did not start"
        if self.exit_status < 0:
            return f"was killed by {signal.Signals(-self.exit_status).name}"
        return f"exited with status {self.exit_status}"

    def start(self) -> None:
        """Start it in a process group of its own, so that Ctrl-C reaches the manager alone."""
        if self.is_alive:
            return
        self._stopping.clear()
        self._settled.clear()
        self._spawned.clear()
        self._supervisor = threading.Thread(target=self._supervise, name=f"supervise-{self.name}", daemon=True)
        self._supervisor.start()
        self._spawned.wait()

    def settle(self) -> None:
        """From now on a crash means a restart."""
        self._settled.set()

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended for good; false when the time is up first."""
        if self._supervisor is not None:
            self._supervisor.join(seconds)
        return not self.is_alive

    def kill(self) -> None:
        """Kill the whole process group the hard way, as a crash would."""
        if self.pid is not None:
            self._signal_group(self.pid, signal.SIGKILL)

    def ask_to_stop(self) -> None:
        """Send the stop signal and forget about restarts."""
        self._stopping.set()
        if self._popen is not None:
            self._popen.send_signal(self.program.stop_signal)

    def make_stop(self) -> None:
        """Wait for the grace time, then kill what is left."""
        if not self.wait(self.program.stop_seconds):
            self._output.write("devstack", f"{self.name} did not stop in {self.program.stop_seconds:g} s: killing it")
            self.kill()
            self.wait(self.program.stop_seconds)

    def _supervise(self) -> None:
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            started = time.monotonic()
            self._run_once()
            if self._stopping.is_set() or not (self.program.restarts and self._settled.is_set()):
                return
            if time.monotonic() - started > STEADY_SECONDS:
                backoff = FIRST_BACKOFF_SECONDS
            self._output.write("devstack", f"{self.name} {self.ending}; starting it again in {backoff:g} s")
            if self._stopping.wait(backoff):
                return
            backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)

    def _run_once(self) -> None:
        try:
            popen = self._spawn()
        except OSError as error:
            self.exit_status = NOT_STARTED
            self._lines.append(str(error))
            self._spawned.set()
            return
        reader = threading.Thread(target=self._read, args=(popen.stdout,), name=f"read-{self.name}", daemon=True)
        reader.start()
        self._on_group("add", popen.pid)
        self._spawned.set()
        if self._stopping.is_set():
            popen.send_signal(self.program.stop_signal)
        self.exit_status = popen.wait()
        self._signal_group(popen.pid, signal.SIGKILL)
        reader.join(READER_SECONDS)
        self._on_group("remove", popen.pid)

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), self.program.user, *self.program.command]
        self._popen = subprocess.Popen(
            command,
            cwd=self.program.directory,
            env={**os.environ, **self.program.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        self.starts += 1
        return self._popen

    def _read(self, stream: IO[bytes]) -> None:
        with self._log.open("ab", buffering=0) as log, stream:
            for raw in stream:
                log.write(raw)
                line = raw.decode(errors="replace").rstrip()
                self._lines.append(line)
                self._output.write(self.name, line)

    @staticmethod
    def _signal_group(group: int, signal_number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal_number)
