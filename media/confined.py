"""Work on bytes that strangers sent is done by a child process that may use so much and no more.

A decoder can be made to run for ever, to eat all memory, or to be taken over. In a child the operating system sees to
it that none of that outlives its limits; what the child says is read as data and believed as little as the file was.
"""

import os
import resource
import select
import signal
import subprocess
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Timer
from typing import IO, NoReturn

from media.exceptions import ChildDiedError, OverLimitError, OverTimeError

CHUNK = 1 << 20
LINE = 4096
COMPLAINTS = 300
OPEN_FILES = 64
NEARLY = 0.9  # of a limit of time, which is kept by another clock than the one that counts in the end
OUT_OF_MEMORY = 71  # exit codes of a child that works for us
BROKE = 70
RESET = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGXFSZ)
# A program sees nothing of our environment, in which the secrets are; and few arenas, for each reserves 64 megabytes.
BARE_ENVIRONMENT = {"MALLOC_ARENA_MAX": "2", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use: processor time and time in seconds; bytes of memory, and of any one file or answer."""

    cpu_seconds: int
    wall_seconds: float
    memory_bytes: int
    output_bytes: int

    def impose_on_copy(self) -> None:
        """On this process, for ever; what it has in memory as a copy of its parent comes on top."""
        own_pages = int(Path("/proc/self/statm").read_text().split()[0])
        self._impose(own_pages * resource.getpagesize() + self.memory_bytes)

    def impose_on_program(self) -> None:
        """On this process, for ever; it is about to run another program, which begins with nothing."""
        self._impose(self.memory_bytes)

    def _impose(self, memory_bytes: int) -> None:
        for what, most in (
            (resource.RLIMIT_CPU, self.cpu_seconds),
            (resource.RLIMIT_FSIZE, self.output_bytes),
            (resource.RLIMIT_NOFILE, OPEN_FILES),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_AS, memory_bytes),
        ):
            resource.setrlimit(what, (most, most + 1 if what == resource.RLIMIT_CPU else most))


def work_in_child(work: Callable[[], bytes], limits: Limits) -> bytes:
    """What the work returns, done by a copy of this process; raises OverLimitError, OverTimeError, ChildDiedError."""
    deadline = time.monotonic() + limits.wall_seconds
    reading, writing = os.pipe()
    child = fork()
    if child == 0:
        work_and_leave(work, writing, limits)
    os.close(writing)
    try:
        answer = read_until(deadline, reading, limits.output_bytes)
        wait_until(deadline, child)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        os.close(reading)
        end = leave_of(child)
    if end.exit_code == OUT_OF_MEMORY:
        raise OverLimitError("memory", f"more than {limits.memory_bytes} bytes")
    refuse_bad(end, limits)
    return answer


def fork() -> int:
    """Python 3.12 warns of threads; the child touches nothing that another thread may hold but the allocator."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def work_and_leave(work: Callable[[], bytes], writing: int, limits: Limits) -> NoReturn:
    """The child's whole life: no connection of its parent's, no handler of its parent's, one answer."""
    exit_code = BROKE
    try:
        for number in RESET:
            signal.signal(number, signal.SIG_DFL)
        os.dup2(writing, 3)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        limits.impose_on_copy()
        with os.fdopen(3, "wb") as stream:
            stream.write(work())
        exit_code = 0
    except MemoryError:
        exit_code = OUT_OF_MEMORY
    finally:
        os._exit(exit_code)


def read_until(deadline: float, reading: int, most: int) -> bytes:
    """Everything that comes through the pipe; raises when it is too late or too much."""
    answer = bytearray()
    while True:
        wait_for(reading, deadline)
        chunk = os.read(reading, CHUNK)
        if not chunk:
            return bytes(answer)
        answer += chunk
        if len(answer) > most:
            raise OverLimitError("output", f"more than {most} bytes")


def wait_until(deadline: float, child: int) -> None:
    """Return when the child has ended."""
    handle = os.pidfd_open(child)
    try:
        wait_for(handle, deadline)
    finally:
        os.close(handle)


def wait_for(descriptor: int, deadline: float) -> None:
    """Return when there is something to read; raises OverTimeError at the deadline."""
    remaining = max(0.0, deadline - time.monotonic())
    if not select.select([descriptor], [], [], remaining)[0]:
        raise OverTimeError


def run_program(
    command: Sequence[str | Path], *, limits: Limits, folder: Path, on_line: Callable[[str], None] | None = None
) -> None:
    """Run a program in a folder and hear each line that it prints; raises like `work_in_child`."""
    complaints = folder / "complaints"
    process, printed = start(command, limits=limits, folder=folder, complaints=complaints)
    handle = os.pidfd_open(process.pid)
    overdue = Event()
    alarm = Timer(limits.wall_seconds, stop, (handle, overdue))
    alarm.start()
    try:
        for line in iter(lambda: printed.readline(LINE), b""):
            if on_line:
                on_line(line.decode(errors="replace").rstrip("\n"))
        select.select([handle], [], [])
    except BaseException:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        raise
    finally:
        alarm.cancel()
        alarm.join()
        printed.close()
        end = leave_of(process.pid)
        process.returncode = end.exit_code
        os.close(handle)
    if overdue.is_set():
        raise OverTimeError
    refuse_bad(end, limits, complaints)


def start(
    command: Sequence[str | Path], *, limits: Limits, folder: Path, complaints: Path
) -> tuple["subprocess.Popen[bytes]", IO[bytes]]:
    """The running program, and what it prints."""
    with complaints.open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 - a list of arguments, none of which a user wrote
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=folder,
            env=BARE_ENVIRONMENT,
            preexec_fn=limits.impose_on_program,  # noqa: PLW1509 - setrlimit takes no lock
        )
    assert process.stdout is not None
    return process, process.stdout


def stop(handle: int, overdue: Event) -> None:
    """End a program whose time is over."""
    overdue.set()
    signal.pidfd_send_signal(handle, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class End:
    """How a child ended: its exit code, negative for a signal, and the processor seconds that it used."""

    exit_code: int
    cpu_seconds: float


def leave_of(child: int) -> End:
    """Wait for a child to be gone."""
    _, status, used = os.wait4(child, 0)
    return End(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime)


def refuse_bad(end: End, limits: Limits, complaints: Path | None = None) -> None:
    """Raise unless a child ended well."""
    # The signal at the limit can be caught, as ffmpeg does, which then says nothing of it; the time that was used does.
    used_up = end.cpu_seconds > limits.cpu_seconds * NEARLY
    if end.exit_code == -signal.SIGXCPU or (end.exit_code and used_up):
        raise OverLimitError("time", f"more than {limits.cpu_seconds} seconds of processor time")
    if end.exit_code == -signal.SIGXFSZ:
        raise OverLimitError("output", f"a file of more than {limits.output_bytes} bytes")
    if end.exit_code:
        raise ChildDiedError(end.exit_code, last_words(complaints) if complaints else "")


def last_words(complaints: Path) -> str:
    """How a program's complaints end; the file is as long as a stranger's file has it, and is not read whole."""
    with complaints.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - COMPLAINTS))
        return stream.read().decode(errors="replace")
