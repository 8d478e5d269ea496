"""A Kafka broker with nothing to install: librdkafka's built-in cluster behind a port of our choice.

    python -m devstack.kafka_builtin --port 9092 --topic payment.completed:6

It keeps everything in memory, at most 5 MiB or 100,000 batches a partition; an empty fetch sleeps its whole wait, so
clients set `fetch.wait.max.ms=10`; groups use `group.protocol=consumer`. Enough to develop and to test against, not
to measure.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from devstack.exceptions import BuiltinBrokerError
from devstack.mock_cluster import MockCluster
from devstack.ports import LOOPBACK

CHUNK = 1 << 18
PROJECT = Path(__file__).parents[1]
STOP_SECONDS = 5.0


class BuiltinBroker:
    """The test's side of a controlled broker: each method sends one line and waits for its answer."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.brokers = self._answer()

    def create_topic(self, name: str, partitions: int) -> None:
        """Create a topic with this many partitions."""
        self._command("create_topic", name, partitions)

    def set_topic_error(self, name: str, error: int) -> None:
        """Answer whoever asks for this topic with this error code (3 is an unknown topic); 0 ends that."""
        self._command("set_topic_error", name, error)

    def set_down(self) -> None:
        """Close every connection and refuse new ones."""
        self._command("set_down")

    def set_up(self) -> None:
        """Accept connections again."""
        self._command("set_up")

    def set_round_trip(self, milliseconds: int) -> None:
        """Answer every request this much later."""
        self._command("set_round_trip", milliseconds)

    def push_errors(self, api_key: int, *errors: int) -> None:
        """Answer the next requests of this kind (0 is Produce) with these error codes, one each."""
        self._command("push_errors", api_key, *errors)

    def clear_errors(self, api_key: int) -> None:
        """Forget the errors that were not used up."""
        self._command("clear_errors", api_key)

    def _command(self, *words: object) -> None:
        stream = pipe(self._process.stdin)
        stream.write(" ".join(str(word) for word in words) + "\n")
        stream.flush()
        self._answer()

    def _answer(self) -> str:
        verdict, _, detail = pipe(self._process.stdout).readline().strip().partition(" ")
        if verdict != "ok":
            raise BuiltinBrokerError(detail or "the built-in broker ended")
        return detail


@contextmanager
def builtin_broker(topics: Mapping[str, int], *, port: int = 0) -> Iterator[str]:
    """A broker with these topics (name to partitions) in a process of its own; gives its address."""
    with controlled_broker(topics, port=port) as broker:
        yield broker.brokers


@contextmanager
def controlled_broker(topics: Mapping[str, int], *, port: int = 0) -> Iterator[BuiltinBroker]:
    """The same, with a handle that makes the broker misbehave."""
    words = [word for name, partitions in topics.items() for word in ("--topic", f"{name}:{partitions}")]
    process = subprocess.Popen(
        [sys.executable, "-m", "devstack.kafka_builtin", "--controlled", "--port", str(port), *words],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    # The broker ends with its input, so it cannot outlive a test process that was killed.
    with process:
        try:
            yield BuiltinBroker(process)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def pipe(stream: IO[str] | None) -> IO[str]:
    """A pipe that was asked for at start."""
    if stream is None:
        raise BuiltinBrokerError("the built-in broker has no pipe")
    return stream


async def forward(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copy one direction of a connection until either side ends it."""
    try:
        while data := await source.read(CHUNK):
            target.write(data)
            await target.drain()
    except ConnectionError:
        pass
    finally:
        target.close()


async def listen(cluster: MockCluster, port: int) -> None:
    """Listen on this port on behalf of the cluster, whose own port cannot be chosen."""

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(LOOPBACK, cluster.port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(forward(reader, upstream_writer), forward(upstream_reader, writer))

    await asyncio.start_server(connect, LOOPBACK, port, limit=CHUNK)
    cluster.advertise(LOOPBACK, port)


def obey(cluster: MockCluster, line: str) -> str:
    """Do what one line of the control protocol asks; answer `ok` or `error` and the reason."""
    verb, *words = line.split() or [""]
    commands: dict[str, Callable[[], None]] = {
        "create_topic": lambda: cluster.create_topic(words[0], int(words[1])),
        "set_topic_error": lambda: cluster.set_topic_error(words[0], int(words[1])),
        "set_down": cluster.set_down,
        "set_up": cluster.set_up,
        "set_round_trip": lambda: cluster.set_round_trip(int(words[0])),
        "push_errors": lambda: cluster.push_errors(*map(int, words)),
        "clear_errors": lambda: cluster.clear_errors(int(words[0])),
    }
    if verb not in commands:
        return f"error unknown command {verb}"
    try:
        commands[verb]()
    except (BuiltinBrokerError, ValueError, IndexError, TypeError) as error:
        return f"error {error}"
    return "ok"


async def take_commands(cluster: MockCluster) -> None:
    """Obey standard input line by line until it ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        print(await asyncio.to_thread(obey, cluster, line.decode()), flush=True)


def read_topic(word: str) -> tuple[str, int]:
    """Parse `name:partitions`."""
    name, _, partitions = word.rpartition(":")
    if not name or not partitions.isdigit():
        raise argparse.ArgumentTypeError(f"{word!r} is not name:partitions")
    return name, int(partitions)


def write_state(path: Path, brokers: str) -> None:
    """Write where the broker listens, in one piece."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(json.dumps({"brokers": brokers, "pid": os.getpid()}))
    fresh.replace(path)


async def run(arguments: argparse.Namespace) -> None:
    """Serve until a signal comes or, when controlled, until the input ends."""
    stop = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    cluster = MockCluster()
    for name, partitions in arguments.topic:
        cluster.create_topic(name, partitions)
    if arguments.port:
        await listen(cluster, arguments.port)
    brokers = f"{LOOPBACK}:{arguments.port or cluster.port}"
    if arguments.state_file:
        write_state(arguments.state_file, brokers)
    print(f"ok {brokers}" if arguments.controlled else f"listening on {brokers}", flush=True)
    ends: list[asyncio.Task[object]] = [asyncio.create_task(stop.wait())]
    if arguments.controlled:
        ends.append(asyncio.create_task(take_commands(cluster)))
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    # Nothing here is worth saving, and asyncio reports every open connection that it cancels as an error.
    sys.stdout.flush()
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m devstack.kafka_builtin", description="A Kafka broker in memory.")
    parser.add_argument("--port", type=int, default=0, help="loopback port; 0, the default, takes a free one")
    parser.add_argument("--topic", type=read_topic, action="append", default=[], metavar="NAME:PARTITIONS")
    parser.add_argument("--state-file", type=Path, help="write the address and the pid here as JSON")
    parser.add_argument("--controlled", action="store_true", help="obey standard input and end with it")
    try:
        asyncio.run(run(parser.parse_args()))
    except (BuiltinBrokerError, OSError) as error:
        sys.exit(f"error {error}")


if __name__ == "__main__":
    main()
