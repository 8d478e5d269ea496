"""The whole platform on one machine: database, broker and every process of the project."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from devstack import programs
from devstack.managed import ManagedProcess, Program
from devstack.output import Output
from devstack.ports import LOOPBACK, free_port, preferred_port, require_free
from devstack.postgres import create_database, database_url, postgres_program
from devstack.processes import ProcessManager
from devstack.state import StackDirectory, State

KafkaKind = Literal["builtin", "apache"]

DIRECTORY = programs.PROJECT / "var" / "devstack"
WEB_PORT = 8000
POSTGRES_PORT = 5433
KAFKA_PORT = 9092


class Stack:
    """Start it, use it, stop it; as a context manager it is stopped whatever happens.

    A database or brokers that are given are used instead of starting some. `project` is the folder of manage.py.
    Without `output` the processes write to their log files only.
    """

    def __init__(
        self,
        *,
        directory: Path = DIRECTORY,
        kafka: KafkaKind = "builtin",
        port: int = WEB_PORT,
        free_ports: bool = False,
        database_url: str = "",
        brokers: str = "",
        project: Path = programs.PROJECT,
        output: Output | None = None,
    ) -> None:
        self.directory = StackDirectory(directory)
        self.port = free_port() if free_ports else port
        self.database_url = database_url
        self.brokers = brokers
        self.env: dict[str, str] = {}
        self._kafka: str = "external" if brokers else kafka
        self._choose_port: Callable[[int], int] = (lambda _wished: free_port()) if free_ports else preferred_port
        self._free_ports = free_ports
        self._project = project
        self._ready = False
        self._manager = ProcessManager(logs=self.directory.logs, output=output, on_change=self._write_state)

    def __enter__(self) -> "Stack":
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """Where the web process answers."""
        return f"http://{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Start everything in order and return when the platform answers; on a failure stop what was started."""
        self._manager.keep_open = (self.directory.acquire(),)
        try:
            require_free(self.port, purpose="the web process", remedy="choose one with --port, or use --free-ports")
            self._start_in_order()
            self._ready = True
            self._write_state()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything, the last started first."""
        self._manager.stop()
        self.directory.release()

    def cancel(self) -> None:
        """Make a start under way give up; for signal handlers."""
        self._manager.cancel()

    def process(self, name: str) -> ManagedProcess:
        """One process: postgres, broker (or kafka-1), web, relay, consumers, worker, beat."""
        return self._manager.process(name)

    def start_process(self, name: str) -> None:
        """Start a stopped process again and return when it is ready."""
        self._manager.start_process(name)

    def stop_process(self, name: str) -> None:
        """Stop one process and leave it stopped."""
        self._manager.stop_process(name)

    def _start_in_order(self) -> None:
        self._start_database()
        self._start_broker()
        self._manager.run(self._command("migrate", "migrate", "--no-input"))
        if self._kafka != "builtin":
            self._manager.run(self._command("topics", "sync_topics"))
        self._manager.start(
            *programs.application(
                project=self._project, environment=self.env, port=self.port, directory=self.directory.path
            )
        )

    def _command(self, name: str, *arguments: str) -> Program:
        program = programs.manage(name, *arguments, project=self._project, environment=self.env)
        return replace(program, restarts=False)

    def _start_database(self) -> None:
        if not self.database_url:
            port = self._choose_port(POSTGRES_PORT)
            self.database_url = database_url(port)
            self._manager.start(postgres_program(data=self.directory.path / "postgres", port=port))
            create_database(port)
        self._build_environment()

    def _start_broker(self) -> None:
        folder = self.directory.path
        if self._kafka == "builtin":
            port = self._choose_port(KAFKA_PORT)
            self.brokers = f"{LOOPBACK}:{port}"
            self.env |= {"KAFKA_BROKERS": self.brokers, "KAFKA_FETCH_WAIT_MS": "10"}
            broker = programs.builtin_broker(
                port=port,
                project=self._project,
                environment={**os.environ, **self.env},
                state_file=folder / "broker.json",
            )
            self._manager.start(broker)
        elif self._kafka == "apache":
            self.brokers, nodes = programs.apache_brokers(folder / "kafka", free_ports=self._free_ports)
            self.env |= {"KAFKA_BROKERS": self.brokers}
            self._manager.start(*nodes)

    def _build_environment(self) -> None:
        folder = self.directory.path
        celery, media = folder / "celery", folder / "media"
        for path in (celery, media):
            path.mkdir(exist_ok=True)
        self.env |= {
            "DJANGO_SETTINGS_MODULE": "config.settings.local",
            "DATABASE_URL": self.database_url,
            "KAFKA_BROKERS": self.brokers,
            "CELERY_BROKER_URL": "filesystem://",
            "CELERY_FILESYSTEM_DIRECTORY": str(celery),
            "MEDIA_ROOT": str(media),
            "EVENTBUS_JOURNAL": os.environ.get("EVENTBUS_JOURNAL", "true"),
            "SECRET_KEY": self.directory.secret_key(),
            "PYTHONUNBUFFERED": "1",
        }

    def _write_state(self) -> None:
        public = {name: value for name, value in self.env.items() if name != "SECRET_KEY"}
        processes = list(self._manager.processes.items())
        state = State(
            manager=os.getpid(),
            kafka=self._kafka,
            base_url=self.base_url,
            database_url=self.database_url,
            brokers=self.brokers,
            environment=public,
            ready=self._ready,
            processes={name: process.pid for name, process in processes if process.program.restarts},
        )
        self.directory.write(state)
