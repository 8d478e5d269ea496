"""Toxiproxy before a server that answers at once."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from devstack.exceptions import GoProgramError, ToxiproxyError
from devstack.ports import LOOPBACK, free_port
from devstack.toxiproxy import Toxiproxy

SILENT_SECONDS = 0.5


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it is sent."""

    def answer(client: socket.socket) -> None:
        with client, suppress(OSError):
            while content := client.recv(100):
                client.sendall(content)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=[server.accept()[0]], daemon=True).start()

    with socket.create_server((LOOPBACK, 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(manager, tmp_path) -> Toxiproxy:
    """A running Toxiproxy; without Go the test is skipped with the reason, but in CI it fails."""
    made = Toxiproxy(free_port())
    try:
        program = made.program(tmp_path)
    except GoProgramError as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
    manager.start(program)
    return made


@pytest.fixture
def port(proxy, echo) -> int:
    """Where the echo is reached through the proxy called `echo`."""
    listen = free_port()
    proxy.add("echo", listen=listen, upstream=echo)
    return listen


def connect(port: int) -> socket.socket:
    return socket.create_connection((LOOPBACK, port), timeout=10)


def ask(client: socket.socket) -> bytes:
    client.sendall(b"hello")
    return client.recv(100)


def test_a_slow_connection_answers_late(proxy, port):
    with connect(port) as client:
        proxy.slow_down("echo", milliseconds=200)
        begun = time.monotonic()
        answer = ask(client)

    assert answer == b"hello"
    assert time.monotonic() - begun >= 0.2  # 0.2 s each way, give or take a half


def test_a_cut_connection_ends_and_no_other_is_made_until_it_is_healed(proxy, port):
    with connect(port) as client:
        assert ask(client) == b"hello"
        proxy.cut("echo")
        assert client.recv(100) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(port)

    proxy.heal("echo")

    with connect(port) as client:
        assert ask(client) == b"hello"


def test_a_silent_connection_stays_open_without_an_answer_until_it_is_healed(proxy, port):
    with connect(port) as client:
        assert ask(client) == b"hello"
        proxy.silence("echo")
        client.settimeout(SILENT_SECONDS)
        with pytest.raises(TimeoutError):
            ask(client)
        proxy.heal("echo")
        client.settimeout(10)
        assert client.recv(100) == b""

    with connect(port) as client:
        assert ask(client) == b"hello"


def test_a_refused_request_is_quoted(proxy):
    with pytest.raises(ToxiproxyError, match=r"^Toxiproxy refuses POST /proxies/nobody: .*proxy not found"):
        proxy.cut("nobody")


def test_a_server_that_is_away_is_named():
    with pytest.raises(ToxiproxyError, match=r"^Toxiproxy does not answer POST /proxies/echo: .*refused"):
        Toxiproxy(free_port()).cut("echo")
