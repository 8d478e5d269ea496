"""What a child process may use is enforced by the operating system, and what goes wrong there stays there."""

import os
import resource
import signal
import socket
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from media.confined import Limits, run_program, work_in_child
from media.exceptions import ChildDiedError, OverLimitError, OverTimeError

MEGABYTE = 1024 * 1024
WIDE = Limits(cpu_seconds=30, wall_seconds=60.0, memory_bytes=256 * MEGABYTE, output_bytes=4 * MEGABYTE)
TIGHT_TIME = Limits(cpu_seconds=1, wall_seconds=60.0, memory_bytes=256 * MEGABYTE, output_bytes=MEGABYTE)
TIGHT_WAIT = Limits(cpu_seconds=30, wall_seconds=0.5, memory_bytes=256 * MEGABYTE, output_bytes=MEGABYTE)


def for_ever() -> bytes:
    while True:
        pass


def asleep() -> bytes:
    time.sleep(600)
    return b""


def too_much_memory() -> bytes:
    return bytes(bytearray(512 * MEGABYTE))


def crash() -> bytes:
    os.kill(os.getpid(), signal.SIGSEGV)
    return b""


def fail() -> bytes:
    raise RuntimeError


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def children() -> bytes:
    """The processes that this one has not taken leave of."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_bytes()


@pytest.fixture(autouse=True)
def nobody_is_left_behind():
    """Whatever happens, no child stays, neither running nor as a zombie."""
    before = children()
    yield
    assert children() == before


def test_the_answer_of_a_child_is_what_the_work_returned():
    assert work_in_child(lambda: b"x" * 3 * MEGABYTE, WIDE) == b"x" * 3 * MEGABYTE


def test_a_child_that_computes_for_ever_is_ended():
    with pytest.raises(OverLimitError) as caught:
        work_in_child(for_ever, TIGHT_TIME)

    assert caught.value.limit == "time"


def test_a_child_that_waits_for_ever_is_ended():
    with pytest.raises(OverTimeError):
        work_in_child(asleep, TIGHT_WAIT)


def test_a_child_that_takes_too_much_memory_is_refused_it():
    with pytest.raises(OverLimitError) as caught:
        work_in_child(too_much_memory, WIDE)

    assert caught.value.limit == "memory"
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY


def test_an_answer_that_does_not_end_is_cut_off():
    with pytest.raises(OverLimitError) as caught:
        work_in_child(lambda: b"x" * 5 * MEGABYTE, WIDE)

    assert caught.value.limit == "output"


@pytest.mark.parametrize(
    ("work", "exit_code"),
    [
        (crash, -signal.SIGSEGV),
        (fail, 70),
    ],
)
def test_a_child_that_dies_says_how(work, exit_code):
    with pytest.raises(ChildDiedError) as caught:
        work_in_child(work, WIDE)

    assert caught.value.exit_code == exit_code


def test_a_child_has_no_connection_of_its_parents():
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.fileno()

        def look() -> bytes:
            try:
                os.fstat(number)
            except OSError:
                return b"closed"
            return b"open"

        assert work_in_child(look, WIDE) == b"closed"


def test_a_child_cannot_write_a_file_beyond_its_limit(tmp_path):
    target = tmp_path / "large"

    with pytest.raises(OverLimitError):
        work_in_child(lambda: str(target.write_bytes(b"x" * 5 * MEGABYTE)).encode(), WIDE)

    assert target.stat().st_size <= 4 * MEGABYTE


def test_a_program_is_heard_line_by_line(tmp_path):
    lines: list[str] = []

    run_program(python("print('one'); print('two')"), limits=WIDE, folder=tmp_path, on_line=lines.append)

    assert lines == ["one", "two"]


@pytest.mark.parametrize(
    ("code", "limits", "error"),
    [
        ("while True: pass", TIGHT_TIME, OverLimitError),
        ("import time; time.sleep(600)", TIGHT_WAIT, OverTimeError),
        ("b = bytearray(512 * 2**20)", WIDE, ChildDiedError),
        ("import os; os.abort()", WIDE, ChildDiedError),
    ],
)
def test_a_program_is_held_to_its_limits(code, limits, error, tmp_path):
    with pytest.raises(error):
        run_program(python(code), limits=limits, folder=tmp_path)


def test_a_program_that_writes_too_much_is_ended(tmp_path):
    code = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL); open('large', 'wb').write(b'x' * 5 * 2**20)"

    with pytest.raises(OverLimitError) as caught:
        run_program(python(code), limits=WIDE, folder=tmp_path)

    assert caught.value.limit == "output"
    assert (tmp_path / "large").stat().st_size <= 4 * MEGABYTE


def test_a_program_sees_nothing_of_our_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "do not tell")
    lines: list[str] = []

    run_program(
        python("import os; print(os.environ.get('SECRET_KEY'))"), limits=WIDE, folder=tmp_path, on_line=lines.append
    )

    assert lines == ["None"]


def test_a_program_ends_when_its_listener_has_heard_enough(tmp_path):
    def enough(line: str) -> None:
        raise LookupError(line)

    with pytest.raises(LookupError, match="one"):
        run_program(
            python("import time; print('one', flush=True); time.sleep(600)"),
            limits=WIDE,
            folder=tmp_path,
            on_line=enough,
        )


def test_what_a_program_complained_of_is_told(tmp_path):
    with pytest.raises(ChildDiedError, match="exit code 3: no such thing"):
        run_program(python("import sys; sys.stderr.write('no such thing'); sys.exit(3)"), limits=WIDE, folder=tmp_path)


def test_long_complaints_are_not_read_whole(tmp_path):
    code = "import sys\nfor _ in range(3): sys.stderr.write('x' * (1 << 20))\nsys.exit('the last words')"
    tracemalloc.start()
    try:
        with pytest.raises(ChildDiedError, match="the last words") as caught:
            run_program(python(code), limits=WIDE, folder=tmp_path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (tmp_path / "complaints").stat().st_size > 3 * MEGABYTE
    assert len(str(caught.value)) < 400
    assert most < MEGABYTE
