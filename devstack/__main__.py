"""python -m devstack up | demo | down | status | env | kafka"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

from devstack.demo.command import add_demo_options, demo
from devstack.exceptions import DevstackError, KafkaUnavailableError, NotRunningError
from devstack.kafka_tools import TOOLS, run_tool
from devstack.output import Output
from devstack.programs import PROJECT
from devstack.stack import DIRECTORY, WEB_PORT, Stack
from devstack.state import StackDirectory

NOT_RUNNING = 3
INTERRUPTED = 130
DOWN_SECONDS = 90.0


def main() -> None:
    arguments = parser().parse_args()
    try:
        sys.exit(arguments.run(arguments))
    except NotRunningError as error:
        print(error, file=sys.stderr)
        sys.exit(NOT_RUNNING)
    except DevstackError as error:
        sys.exit(f"{error}")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m devstack", description="The whole platform without Docker.")
    commands = result.add_subparsers(required=True, metavar="command")
    for name, run, summary in (
        ("up", up, "start everything and stay until Ctrl-C"),
        ("down", down, "stop the running stack"),
        ("status", status, "say what runs; exit status 3 when nothing does"),
        ("env", env, "print export lines for using manage.py with the running stack"),
        ("kafka", kafka, "run one of Kafka's own tools against the running stack"),
    ):
        command = commands.add_parser(name, help=summary, description=summary)
        command.set_defaults(run=run)
        command.add_argument("--directory", type=Path, default=DIRECTORY, help="where the stack keeps its files")
        if run is up:
            add_up_options(command)
        if run is kafka:
            command.add_argument("tool", choices=TOOLS, metavar="tool", help=", ".join(TOOLS))
            command.add_argument("arguments", nargs=argparse.REMAINDER, help="handed to the tool as they are")
    story = commands.add_parser("demo", help="start everything on free ports and play a creator's and a fan's story")
    story.set_defaults(run=demo)
    add_demo_options(story)
    return result


def add_up_options(command: argparse.ArgumentParser) -> None:
    """What `up` can be told."""
    command.add_argument("--kafka", choices=("builtin", "apache"), default="builtin", help="the broker to start")
    command.add_argument("--port", type=int, default=WEB_PORT, help="port of the web process (%(default)s)")
    command.add_argument("--free-ports", action="store_true", help="take free ports for everything")
    command.add_argument("--project", type=Path, default=PROJECT, help="the folder of manage.py")
    command.add_argument("--temporary", action="store_true", help="use a fresh directory and remove it afterwards")
    command.add_argument("--ready-file", type=Path, help="once ready, write the environment here as JSON")
    command.add_argument("--once-ready", metavar="CMD", help="once ready, run this, then stop with its exit status")
    command.add_argument("--quiet", action="store_true", help="write the log files only")


def up(arguments: argparse.Namespace) -> int:
    """Start the stack and stay."""
    if not arguments.temporary:
        return run_stack(arguments, arguments.directory)
    with TemporaryDirectory(prefix="tributary-") as directory:
        return run_stack(arguments, Path(directory))


def run_stack(arguments: argparse.Namespace, directory: Path) -> int:
    """Run a stack on this directory until a signal comes or the command has ended."""
    output = Output(None if arguments.quiet else sys.stdout)
    stack = Stack(
        directory=directory,
        kafka=arguments.kafka,
        port=arguments.port,
        free_ports=arguments.free_ports,
        database_url=os.environ.get("DATABASE_URL", ""),
        brokers=os.environ.get("KAFKA_BROKERS", ""),
        project=arguments.project,
        output=output,
    )
    stopped = stop_on_signals(stack)
    try:
        with stack:
            output.write("devstack", f"ready: {stack.base_url}/api/docs (logs in {stack.directory.logs})")
            if arguments.ready_file:
                write_ready_file(arguments.ready_file, stack)
            if arguments.once_ready:
                return run_once_ready(arguments.once_ready, stack)
            stopped.wait()
            output.write("devstack", "stopping")
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def stop_on_signals(stack: Stack) -> threading.Event:
    """An event that Ctrl-C and friends set; a start under way gives up."""
    stopped = threading.Event()

    def stop(_signal_number: int, _frame: object) -> None:
        stopped.set()
        stack.cancel()

    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, stop)
    return stopped


def write_ready_file(file: Path, stack: Stack) -> None:
    """Tell a waiting program where everything is."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps({"base_url": stack.base_url, **stack.env}))
    fresh.replace(file)


def run_once_ready(command: str, stack: Stack) -> int:
    """Run a shell command in the stack's environment."""
    environment = {**os.environ, **stack.env, "BASE_URL": stack.base_url}
    return subprocess.run(["sh", "-c", command], env=environment, check=False).returncode


def down(arguments: argparse.Namespace) -> int:
    """Ask the running stack to stop and wait for it."""
    directory = StackDirectory(arguments.directory)
    state = directory.read()
    os.kill(state.manager, signal.SIGTERM)
    if not directory.wait_until_free(DOWN_SECONDS):
        raise DevstackError(f"the stack (pid {state.manager}) did not stop in {DOWN_SECONDS:g} s")
    print("stopped")
    return 0


def status(arguments: argparse.Namespace) -> int:
    """Print where everything is."""
    state = StackDirectory(arguments.directory).read()
    print(f"{'ready' if state.ready else 'starting'}: {state.base_url}")
    print(f"database  {state.database_url}")
    print(f"brokers   {state.brokers} ({state.kafka})")
    for name, pid in state.processes.items():
        print(f"{name:<10}{f'pid {pid}' if pid else 'not running'}")
    return 0


def env(arguments: argparse.Namespace) -> int:
    """Print what manage.py needs: eval "$(python -m devstack env)"."""
    directory = StackDirectory(arguments.directory)
    variables = {**directory.read().environment, "SECRET_KEY": directory.secret_key()}
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def kafka(arguments: argparse.Namespace) -> int:
    """Run one of Kafka's tools on KAFKA_BROKERS, or on the brokers of the running stack."""
    brokers = os.environ.get("KAFKA_BROKERS")
    if not brokers:
        state = StackDirectory(arguments.directory).read()
        if state.kafka == "builtin":
            raise KafkaUnavailableError(
                "the built-in broker does not speak with Kafka's own tools: start the stack with `up --kafka=apache`"
            )
        brokers = state.brokers
    return run_tool(arguments.tool, arguments.arguments, brokers=brokers).returncode


if __name__ == "__main__":
    main()
