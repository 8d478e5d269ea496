"""`python -m devstack up` on a sample project: real PostgreSQL, the built-in broker and gunicorn."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from devstack.exceptions import AlreadyRunningError, NotRunningError
from devstack.programs import PROJECT, answers
from devstack.stack import Stack
from devstack.state import StackDirectory
from tests.devstack.conftest import descendants, eventually, is_running

SAMPLE = Path(__file__).with_name("sample_project")
PROCESSES = ["postgres", "broker", "web", "relay", "consumers", "worker", "beat"]


@pytest.fixture
def command(environment):
    """Run one devstack command to its end."""

    def run(*words):
        line = [sys.executable, "-m", "devstack", *map(str, words)]
        return subprocess.run(line, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def up(environment, tmp_path):
    """Start `devstack up` and give it once it is ready."""
    started = []

    def start():
        ready = tmp_path / "ready.json"
        ready.unlink(missing_ok=True)
        words = ("--free-ports", "--directory", tmp_path / "stack", "--project", SAMPLE, "--ready-file", ready)
        with (tmp_path / "output").open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "devstack", "up", *map(str, words)],
                cwd=PROJECT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        started.append(process)
        assert eventually(lambda: ready.exists() or process.poll() is not None, seconds=60)
        assert process.poll() is None, (tmp_path / "output").read_text()
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.wait(60)


def test_everything_runs_and_ctrl_c_leaves_nobody(up, tmp_path):
    stack = up()
    directory = StackDirectory(tmp_path / "stack")
    state = directory.read()
    everybody = descendants(stack.pid)

    # What a terminal does on Ctrl-C: everybody in the foreground group gets it.
    os.killpg(stack.pid, signal.SIGINT)

    assert stack.wait(60) == 0
    assert list(state.processes) == PROCESSES
    assert set(state.processes.values()) <= set(everybody)
    assert [pid for pid in everybody if is_running(pid)] == []
    assert not directory.is_in_use()
    assert "Traceback" not in (tmp_path / "output").read_text()


def test_a_killed_manager_leaves_nobody_and_a_new_one_can_start_at_once(up, tmp_path):
    stack = up()
    everybody = descendants(stack.pid)

    stack.kill()
    stack.wait()
    second = up()

    assert [pid for pid in everybody if is_running(pid)] == []
    assert StackDirectory(tmp_path / "stack").read().manager == second.pid


def test_status_env_and_down(up, command, tmp_path):
    stack = up()
    directory = ("--directory", tmp_path / "stack")
    ready = json.loads((tmp_path / "ready.json").read_text())

    kafka = command("kafka", *directory, "topics", "--list")
    status, env, down = (command(verb, *directory) for verb in ("status", "env", "down"))

    assert status.stdout.splitlines()[0] == f"ready: {ready['base_url']}"
    assert [line.split()[0] for line in status.stdout.splitlines()[3:]] == PROCESSES
    assert {line.split("=")[0] for line in env.stdout.splitlines()} == {f"export {name}" for name in ready} - {
        "export base_url"
    }
    assert (kafka.returncode, kafka.stdout) == (1, "")
    assert kafka.stderr.startswith("the built-in broker does not speak with Kafka's own tools: ")
    assert (down.returncode, down.stdout) == (0, "stopped\n")
    assert stack.wait(5) == 0
    assert command("status", *directory).returncode == 3


def test_a_second_stack_on_the_same_directory_is_refused(up, command, tmp_path):
    stack = up()
    before = StackDirectory(tmp_path / "stack").read()

    second = command("up", "--free-ports", "--directory", tmp_path / "stack", "--project", SAMPLE)

    assert second.returncode == 1
    assert second.stderr.startswith("a stack is already running on ")
    assert stack.poll() is None
    assert StackDirectory(tmp_path / "stack").read() == before


def test_once_ready_runs_a_command_and_ends_with_its_status(command):
    check = 'echo "$BASE_URL $DJANGO_SETTINGS_MODULE"; exit 7'

    result = command("up", "--temporary", "--quiet", "--free-ports", "--project", SAMPLE, "--once-ready", check)

    url, settings = result.stdout.split()
    assert url.startswith("http://127.0.0.1:")
    assert settings == "config.settings.local"
    assert result.returncode == 7


@pytest.fixture
def project(tmp_path):
    """A copy of the sample project, to be broken."""
    return Path(shutil.copytree(SAMPLE, tmp_path / "project"))


def mentioning(path):
    """The processes whose command line mentions this path."""
    return [p.pid for p in psutil.process_iter(["cmdline"]) if str(path) in " ".join(p.info["cmdline"] or [])]


def test_ctrl_c_during_the_start_leaves_nobody(environment, project, tmp_path):
    (project / "hang-migrate").touch()
    words = ("--free-ports", "--quiet", "--directory", str(tmp_path / "stack"), "--project", str(project))
    stack = subprocess.Popen(
        [sys.executable, "-m", "devstack", "up", *words], cwd=PROJECT, env=environment, process_group=0
    )
    assert eventually((tmp_path / "stack" / "logs" / "migrate.log").exists)

    os.killpg(stack.pid, signal.SIGINT)

    assert stack.wait(30) == 130
    assert mentioning(tmp_path) == []


def test_a_failing_migration_is_told_and_stops_everything(command, project, tmp_path):
    (project / "fail-migrate").touch()
    words = ("--free-ports", "--quiet", "--directory", tmp_path / "stack", "--project", project)

    result = command("up", *words)

    assert result.returncode == 1
    assert result.stderr.splitlines()[0] == "migrate exited with status 1"
    assert result.stderr.splitlines()[-1] == "    migrate was told to fail"
    assert mentioning(tmp_path) == []


def test_a_killed_web_process_answers_again(tmp_path):
    with Stack(directory=tmp_path / "stack", free_ports=True, project=SAMPLE) as stack:
        first = stack.process("web").pid
        stack.process("web").kill()

        assert eventually(lambda: stack.process("web").pid not in {None, first} and answers(stack.port))
        assert stack.process("relay").starts == 1


def test_a_taken_port_is_named_and_nothing_starts(tmp_path):
    with Stack(directory=tmp_path / "first", free_ports=True, project=SAMPLE) as first:
        second = Stack(directory=tmp_path / "second", port=first.port, project=SAMPLE)
        with pytest.raises(Exception, match=f"^port {first.port} for the web process is in use"):
            second.start()

    assert not (tmp_path / "second" / "postgres").exists()
    assert not StackDirectory(tmp_path / "second").is_in_use()


def test_a_free_directory_says_that_nothing_runs(tmp_path):
    with pytest.raises(NotRunningError, match=r"^no stack is running on "):
        StackDirectory(tmp_path).read()


def test_a_directory_is_taken_once(tmp_path, monkeypatch):
    monkeypatch.setattr("devstack.state.CLEARING_SECONDS", 0.0)
    first = StackDirectory(tmp_path)
    first.acquire()

    with pytest.raises(AlreadyRunningError):
        StackDirectory(tmp_path).acquire()

    first.release()
    assert not first.is_in_use()


def test_the_secret_key_stays_and_is_private(tmp_path):
    directory = StackDirectory(tmp_path)

    key = directory.secret_key()

    assert len(key) >= 50
    assert StackDirectory(tmp_path).secret_key() == key
    assert (tmp_path / "secret-key").stat().st_mode & 0o777 == 0o600
