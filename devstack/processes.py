"""The process manager: ordered start, readiness, restart after a crash, and a shutdown that leaves nobody behind.

Honcho ends everything when one process ends and knows no readiness; circus brings a message bus and an event loop and
knows no readiness either. Both leave orphans when they are killed themselves.
"""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from devstack.exceptions import ProcessFailedError, UnknownProcessError
from devstack.managed import ManagedProcess, Program
from devstack.output import Output

GUARDIAN = Path(__file__).with_name("guardian.py")
POLL_SECONDS = 0.1
GUARDIAN_GRACE_SECONDS = 8.0
GUARDIAN_SECONDS = 15.0


class ProcessManager:
    """Run programs in stages; use it as a context manager, so that whatever happens they are stopped."""

    def __init__(
        self, *, logs: Path, output: Output | None = None, on_change: Callable[[], None] | None = None
    ) -> None:
        self.logs = logs
        self.output = output or Output()
        self.processes: dict[str, ManagedProcess] = {}
        # File descriptors that stay open until the guardian has cleared everything away.
        self.keep_open: tuple[int, ...] = ()
        self._on_change = on_change or (lambda: None)
        self._stages: list[list[ManagedProcess]] = []
        self._guardian: subprocess.Popen[str] | None = None
        self._guardian_lock = threading.Lock()
        self._cancelled = threading.Event()

    def __enter__(self) -> "ProcessManager":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self, *programs: Program) -> None:
        """Start one stage and return when all of it is ready; if one program fails, stop everything and say why."""
        stage = [self._add(program) for program in programs]
        self._stages.append(stage)
        for process in stage:
            process.start()
        try:
            for process in stage:
                self._wait_until_ready(process)
        except BaseException:
            self.stop()
            raise

    def run(self, program: Program) -> None:
        """Run a program to its end, and fail with its last lines unless it succeeds."""
        process = self._add(program)
        self._stages.append([process])
        process.start()
        try:
            while not process.wait(POLL_SECONDS):
                self._refuse_if_cancelled()
        except BaseException:
            self.stop()
            raise
        if process.exit_status != 0:
            self.stop()
            raise ProcessFailedError(f"{program.name} {process.ending}", process.last_lines)

    def stop(self) -> None:
        """Stop every stage, the last one first: ask, wait for the grace time, then kill the whole process group."""
        while self._stages:
            stage = self._stages.pop()
            for process in stage:
                process.ask_to_stop()
            for process in stage:
                process.make_stop()
        self._dismiss_guardian()

    def cancel(self) -> None:
        """Make a start that is still waiting give up; safe to call from a signal handler."""
        self._cancelled.set()

    def process(self, name: str) -> ManagedProcess:
        """The process of this name."""
        if name not in self.processes:
            raise UnknownProcessError(f"no process {name!r}; there are {', '.join(self.processes)}")
        return self.processes[name]

    def start_process(self, name: str) -> None:
        """Start a process again that was stopped or killed, and return when it is ready."""
        process = self.process(name)
        process.start()
        self._wait_until_ready(process)

    def stop_process(self, name: str) -> None:
        """Stop one process and leave it stopped."""
        process = self.process(name)
        process.ask_to_stop()
        process.make_stop()

    def say(self, line: str) -> None:
        """Write a line of the manager itself."""
        self.output.write("devstack", line)

    def _add(self, program: Program) -> ManagedProcess:
        self._hire_guardian()
        process = ManagedProcess(program, logs=self.logs, output=self.output, on_group=self._tell_guardian)
        self.processes[program.name] = process
        return process

    def _wait_until_ready(self, process: ManagedProcess) -> None:
        program = process.program
        deadline = time.monotonic() + program.ready_seconds
        while program.ready is not None and not program.ready():
            self._refuse_if_cancelled()
            if not process.is_alive:
                raise ProcessFailedError(f"{program.name} {process.ending} before it was ready", process.last_lines)
            if time.monotonic() > deadline:
                reason = f"{program.name} was not ready after {program.ready_seconds:g} s"
                raise ProcessFailedError(reason, process.last_lines)
            time.sleep(POLL_SECONDS)
        process.settle()

    def _refuse_if_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise KeyboardInterrupt

    def _hire_guardian(self) -> None:
        if self._guardian is not None:
            return
        self.logs.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-I", "-S", str(GUARDIAN), str(GUARDIAN_GRACE_SECONDS)]
        self._guardian = subprocess.Popen(
            command, stdin=subprocess.PIPE, text=True, start_new_session=True, pass_fds=self.keep_open
        )

    def _tell_guardian(self, verb: str, group: int) -> None:
        with self._guardian_lock:
            if self._guardian is not None and self._guardian.stdin is not None:
                self._guardian.stdin.write(f"{verb} {group}\n")
                self._guardian.stdin.flush()
        self._on_change()

    def _dismiss_guardian(self) -> None:
        with self._guardian_lock:
            guardian, self._guardian = self._guardian, None
        if guardian is None or guardian.stdin is None:
            return
        guardian.stdin.close()
        try:
            guardian.wait(GUARDIAN_SECONDS)
        except subprocess.TimeoutExpired:
            guardian.send_signal(signal.SIGKILL)
            guardian.wait()
