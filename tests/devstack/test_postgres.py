"""The embedded PostgreSQL."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import psycopg
import pytest

from devstack.ports import free_port
from devstack.postgres import database_url, embedded_postgres, postgres_program, remove_leftovers
from devstack.processes import ProcessManager
from tests.devstack.conftest import eventually, is_running


@pytest.fixture
def data(tmp_path):
    return tmp_path / "postgres"


def ask(url, question):
    with psycopg.connect(url) as connection:
        return connection.execute(question).fetchone()


def test_it_is_set_up_as_the_project_needs_it(data):
    with embedded_postgres(data) as url:
        settings = ask(
            url,
            "SELECT current_setting('track_commit_timestamp'), current_setting('fsync'),"
            " current_setting('max_connections'), current_setting('server_encoding'), current_database(), upper('ä')",
        )

    assert settings == ("on", "on", "200", "UTF8", "tributary", "Ä")


def test_data_survive_a_restart(data):
    with embedded_postgres(data) as url, psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE fact AS SELECT 42 AS answer")

    with embedded_postgres(data) as url:
        assert ask(url, "SELECT answer FROM fact") == (42,)


def test_nobody_is_left_afterwards(data):
    with embedded_postgres(data):
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
        assert is_running(pid)

    assert not is_running(pid)


def test_a_killed_server_starts_again_on_its_data(data):
    with embedded_postgres(data) as url, psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE fact AS SELECT 42 AS answer")
        connection.commit()
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGKILL)

        assert eventually(lambda: int((data / "postmaster.pid").read_text().splitlines()[0]) != pid)

    with embedded_postgres(data) as url:
        assert ask(url, "SELECT answer FROM fact") == (42,)


def test_a_pid_file_whose_pid_belongs_to_somebody_else_now_is_removed(data):
    with embedded_postgres(data):
        content = (data / "postmaster.pid").read_text()
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    _, _, rest = content.partition("\n")
    (data / "postmaster.pid").write_text(f"{bystander.pid}\n{rest}")

    with embedded_postgres(data) as url:
        assert ask(url, "SELECT 1") == (1,)

    assert bystander.poll() is None
    bystander.communicate(b"\n")


def test_a_server_without_its_manager_is_stopped_first(data, tmp_path):
    with ProcessManager(logs=tmp_path / "logs") as manager:
        manager.start(replace(postgres_program(data=data, port=free_port()), restarts=False))
        pid = manager.process("postgres").pid

        remove_leftovers(data)

        assert not is_running(pid)


def test_the_url_is_what_django_environ_reads():
    assert database_url(5433) == "postgres://tributary@127.0.0.1:5433/tributary"
