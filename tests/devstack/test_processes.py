"""The process manager keeps its promises."""

import io
import signal
import subprocess
import sys

import pytest

from devstack.exceptions import ProcessFailedError, UnknownProcessError
from devstack.output import Output
from devstack.processes import GUARDIAN, ProcessManager
from tests.devstack.conftest import eventually, is_running


def test_a_crashed_process_comes_back_and_the_others_do_not_notice(manager, shell):
    manager.start(shell("web", "sleep 60"), shell("relay", "sleep 60"))
    first, relay = manager.process("web").pid, manager.process("relay").pid

    manager.process("web").kill()

    assert eventually(lambda: manager.process("web").starts == 2 and manager.process("web").pid is not None)
    assert manager.process("web").pid != first
    assert manager.process("relay").pid == relay
    assert manager.process("relay").starts == 1


def test_a_crash_is_told_with_its_cause(tmp_path, shell):
    terminal = io.StringIO()
    with ProcessManager(logs=tmp_path, output=Output(terminal)) as manager:
        manager.start(shell("web", "sleep 60"))
        manager.process("web").kill()
        assert eventually(lambda: manager.process("web").starts == 2)

    lines = [line.partition(" ")[2] for line in terminal.getvalue().splitlines()]
    assert lines == ["devstack   | web was killed by SIGKILL; starting it again in 0.5 s"]


def test_a_crash_takes_the_children_of_the_process_along(manager, shell, tmp_path):
    manager.start(shell("web", "sleep 60 & echo $! > child; wait", ready=(tmp_path / "child").exists, restarts=False))
    assert eventually(lambda: (tmp_path / "child").read_text() != "")
    child = int((tmp_path / "child").read_text())

    subprocess.run(["kill", "-9", str(manager.process("web").pid)], check=True)

    assert eventually(lambda: not is_running(child))


def test_a_process_that_was_stopped_stays_stopped(manager, shell):
    manager.start(shell("web", "sleep 60"))

    manager.stop_process("web")

    assert manager.process("web").pid is None
    assert manager.process("web").starts == 1


def test_a_stopped_process_can_be_started_again(manager, shell):
    manager.start(shell("web", "sleep 60"))
    manager.stop_process("web")

    manager.start_process("web")

    assert manager.process("web").pid is not None
    assert manager.process("web").starts == 2


def test_lines_go_to_the_terminal_under_their_name_and_to_a_file(tmp_path, shell):
    terminal = io.StringIO()
    with ProcessManager(logs=tmp_path, output=Output(terminal)) as manager:
        manager.run(shell("migrate", "echo one; echo two >&2", restarts=False))

    lines = [line.partition(" ")[2] for line in terminal.getvalue().splitlines()]
    assert lines == ["migrate    | one", "migrate    | two"]
    assert (tmp_path / "migrate.log").read_text() == "one\ntwo\n"


def test_a_program_that_ends_before_it_is_ready_stops_everything(manager, shell):
    manager.start(shell("postgres", "sleep 60"))
    postgres = manager.process("postgres").pid

    with pytest.raises(ProcessFailedError) as caught:
        manager.start(shell("web", "echo no such table; exit 3", ready=lambda: False))

    assert str(caught.value) == "web exited with status 3 before it was ready\n    no such table"
    assert not is_running(postgres)


def test_a_program_that_never_gets_ready_stops_everything(manager, shell):
    manager.start(shell("postgres", "sleep 60"))
    postgres = manager.process("postgres").pid

    with pytest.raises(ProcessFailedError, match=r"^web was not ready after 0\.3 s$"):
        manager.start(shell("web", "sleep 60", ready=lambda: False, ready_seconds=0.3))

    assert not is_running(postgres)
    assert manager.process("web").pid is None


def test_a_command_that_fails_stops_everything(manager, shell):
    manager.start(shell("postgres", "sleep 60"))
    postgres = manager.process("postgres").pid

    with pytest.raises(ProcessFailedError, match=r"^migrate exited with status 4\n    bad migration$"):
        manager.run(shell("migrate", "echo bad migration; exit 4", restarts=False))

    assert not is_running(postgres)


def test_a_program_that_does_not_exist_is_named(manager, shell, tmp_path):
    program = shell("web", "")

    with pytest.raises(ProcessFailedError, match="cannot run no-such-program: No such file or directory"):
        manager.run(type(program)(name="web", command=("no-such-program",), directory=tmp_path))


def test_the_last_stage_is_stopped_first(manager, shell, tmp_path):
    def line(name):
        return f"trap 'echo {name} >> stopped; exit 0' TERM; touch {name}; while :; do sleep 0.05; done"

    for name in ("first", "second", "third"):
        manager.start(shell(name, line(name), ready=(tmp_path / name).exists))

    manager.stop()

    assert (tmp_path / "stopped").read_text().split() == ["third", "second", "first"]


def test_a_process_that_ignores_the_stop_signal_is_killed(manager, shell, tmp_path):
    line = "trap '' TERM; touch up; while :; do sleep 0.05; done"
    manager.start(shell("web", line, ready=(tmp_path / "up").exists, stop_seconds=0.3))

    manager.stop()

    assert manager.process("web").exit_status == -signal.SIGKILL


def test_an_unknown_process_is_refused(manager, shell):
    manager.start(shell("web", "sleep 60"))

    with pytest.raises(UnknownProcessError, match=r"^no process 'wed'; there are web$"):
        manager.process("wed")


def test_the_guardian_kills_what_ignores_it(tmp_path):
    stubborn = subprocess.Popen(
        ["sh", "-c", "trap '' TERM; touch up; while :; do sleep 0.05; done"], cwd=tmp_path, process_group=0
    )
    assert eventually((tmp_path / "up").exists)

    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(GUARDIAN), "0.3"], stdin=subprocess.PIPE, text=True
    ) as guardian:
        guardian.communicate(f"add {stubborn.pid}\n")

    assert stubborn.wait(5) == -signal.SIGKILL


def test_the_guardian_spares_what_was_seen_to_end(tmp_path):
    bystander = subprocess.Popen(["sleep", "60"], process_group=0)

    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(GUARDIAN), "0.3"], stdin=subprocess.PIPE, text=True
    ) as guardian:
        guardian.communicate(f"add {bystander.pid}\nremove {bystander.pid}\n")

    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()
