"""The project's own processes, and the brokers they talk to."""

import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from devstack import kafka_apache
from devstack.exceptions import ProcessFailedError
from devstack.managed import Program
from devstack.ports import LOOPBACK, require_free

PROJECT = Path(__file__).parents[1]
HTTP_OK = 200
WIND_DOWN_SECONDS = 5
# An idle worker takes 6 s to wind down its pool; one that is cut short loses its task.
WORKER_STOP_SECONDS = 25.0


def manage(name: str, *arguments: str, project: Path, environment: Mapping[str, str]) -> Program:
    """A management command."""
    command = (sys.executable, "manage.py", *arguments)
    return Program(name=name, command=command, directory=project, environment=environment)


def application(*, project: Path, environment: Mapping[str, str], port: int, directory: Path) -> list[Program]:
    """Everything that runs as long as the stack does, on top of the database and the broker."""
    bind = ("--bind", f"{LOOPBACK}:{port}", "--workers", "2", "--threads", "4")
    # Its control socket lies in the home directory, where two stacks would fight over it.
    web = (*bind, "--graceful-timeout", str(WIND_DOWN_SECONDS), "--no-control-socket")
    # An empty pid file: one left by a killed beat would keep the next one from starting.
    schedule = ("-s", str(directory / "celerybeat-schedule"), "--pidfile=")
    celery = (sys.executable, "-m", "celery", "-A", "config")
    run = partial(Program, directory=project, environment=environment)
    return [
        run(
            name="web",
            command=(sys.executable, "-m", "gunicorn", "config.wsgi", *web),
            ready=partial(answers, port),
        ),
        manage("relay", "relay_outbox", project=project, environment=environment),
        manage("consumers", "run_consumers", project=project, environment=environment),
        run(
            name="worker",
            command=(*celery, "worker", "--pool", "prefork", "--concurrency", "2", "-l", "info"),
            stop_seconds=WORKER_STOP_SECONDS,
        ),
        run(name="beat", command=(*celery, "beat", *schedule)),
    ]


def answers(port: int) -> bool:
    """Whether the web process says that it is well."""
    connection = HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == HTTP_OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def builtin_broker(*, port: int, project: Path, environment: Mapping[str, str], state_file: Path) -> Program:
    """The built-in broker with every topic of the project: it can create topics only at its own start."""
    topics = topic_plan(project=project, environment=environment)
    words = [word for name, partitions in topics.items() for word in ("--topic", f"{name}:{partitions}")]
    listening = ("--port", str(port), "--state-file", str(state_file))
    state_file.unlink(missing_ok=True)
    return Program(
        name="broker",
        command=(sys.executable, "-m", "devstack.kafka_builtin", *listening, *words),
        directory=PROJECT,
        ready=state_file.exists,
    )


def apache_brokers(directory: Path, *, free_ports: bool) -> tuple[str, list[Program]]:
    """One node of Apache Kafka that keeps its data in this directory: its address and its program."""
    layout = kafka_apache.prepare(directory, free_ports=free_ports)
    for node in layout.nodes:
        for port in (node.port, node.controller_port):
            remedy = f"free it, or remove {directory} to let Kafka start anew on others"
            require_free(port, purpose="Apache Kafka", remedy=remedy)
    return layout.brokers, list(kafka_apache.node_programs(directory, layout, restarts=True))


def topic_plan(*, project: Path, environment: Mapping[str, str]) -> dict[str, int]:
    """The topics of the project and their partitions, asked from the project itself."""
    result = subprocess.run(
        [sys.executable, "manage.py", "sync_topics", "--plan"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        process_group=0,
    )
    if result.returncode != 0:
        raise ProcessFailedError("sync_topics --plan failed", result.stderr.splitlines()[-15:])
    return {name: int(partitions) for name, partitions, *_ in map(str.split, result.stdout.splitlines())}
