"""Clients that send a byte a second: they keep nobody else waiting, and are cut off when the Caddyfile says."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

import pytest

from devstack.caddy import CADDY
from devstack.exceptions import GoProgramError
from devstack.ports import LOOPBACK, free_port
from tests.house.checkout import ROOT

PATIENCE_SECONDS = 120
CUT_OFF_SECONDS = 8
SLOW_CLIENTS = 40  # of each kind; eight alone would fill gunicorn's threads
HEAD_BEGUN = b"POST /api/v1/webhooks/sandbox HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
BODY_BEGUN = (
    b"POST /api/v1/webhooks/sandbox HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: 200000\r\n\r\n" + b"1" * 8192  # more than a proxy that passes it on would hold back by chance
)


def server_command(port):
    """What the image starts, on a port of ours."""
    [line] = re.findall(r"^CMD (\[.+\])$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    program, *arguments = json.loads(line)
    assert program == "gunicorn"
    return [sys.executable, "-m", program, *(each.replace("0.0.0.0:8000", f"{LOOPBACK}:{port}") for each in arguments)]


def proxy():
    """The path of Caddy; without Go the test is skipped with the reason, but in CI it fails."""
    try:
        return str(CADDY.installed())
    except GoProgramError as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))


def status_of(port, path="/healthz", timeout=PATIENCE_SECONDS):
    """What is answered to somebody who sends at once."""
    connection = HTTPConnection(LOOPBACK, port, timeout=timeout)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def is_well(port, path):
    try:
        return status_of(port, path) == HTTPStatus.OK
    except (OSError, HTTPException):
        return False


@contextmanager
def running(command, *, port, path, environment):
    """The program, from when it answers to the end of the block."""
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_well(port, path):
            assert process.poll() is None, f"{shlex.join(command)} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{shlex.join(command)} does not answer"
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_SECONDS)


@pytest.fixture
def platform(tmp_path):
    """The web process and the proxy before it, as the containers run them: the ports of both."""
    web, front = free_port(), free_port()
    given = {
        "PROXY_PORT": str(front),
        "PROXY_WEB": f"{LOOPBACK}:{web}",
        "PROXY_READ_HEADER": f"{CUT_OFF_SECONDS}s",
        "PROXY_READ_BODY": f"{CUT_OFF_SECONDS}s",
        "XDG_DATA_HOME": str(tmp_path),
    }
    caddy = [proxy(), "run", "--config", str(ROOT / "deploy" / "Caddyfile"), "--adapter", "caddyfile"]
    # With a secret the webhook is there, and its body is read before anything is known of who sends it.
    settings = {"DJANGO_SETTINGS_MODULE": "config.settings.test", "SANDBOX_WEBHOOK_SECRETS": "whsec_slow"}
    with (
        running(server_command(web), port=web, path="/healthz", environment=settings),
        running(caddy, port=front, path="/proxyz", environment=given),
    ):
        yield web, front


class SlowClient:
    """Begins a request, and goes on with a byte at a time."""

    def __init__(self, port, begun):
        self.socket = socket.create_connection((LOOPBACK, port), timeout=PATIENCE_SECONDS)
        self.begun_at = time.monotonic()
        self.cut_off_after = None
        self.socket.sendall(begun)
        self.socket.setblocking(False)

    def go_on(self):
        """One byte more, and a look whether the other side has closed."""
        if self.cut_off_after is not None:
            return
        try:
            self.socket.send(b"1")
            while self.socket.recv(4096):
                pass
        except BlockingIOError:
            return
        except OSError:
            pass
        self.cut_off_after = time.monotonic() - self.begun_at


def test_slow_clients_keep_nobody_waiting_and_are_cut_off_in_time(platform):
    _, front = platform
    with ExitStack() as held:
        clients = [SlowClient(front, begun) for begun in (HEAD_BEGUN, BODY_BEGUN) for _ in range(SLOW_CLIENTS)]
        for client in clients:
            held.callback(client.socket.close)

        served = []
        while any(client.cut_off_after is None for client in clients):
            assert time.monotonic() - clients[-1].begun_at < PATIENCE_SECONDS, "some were never cut off"
            for client in clients:
                client.go_on()
            well_begun = time.monotonic() - clients[-1].begun_at > CUT_OFF_SECONDS / 4
            if well_begun and not any(client.cut_off_after for client in clients):
                assert status_of(front) == HTTPStatus.OK
                served.append(time.monotonic() - clients[0].begun_at)
            time.sleep(0.5)

    assert any(moment < CUT_OFF_SECONDS for moment in served), "nobody was served before the slow ones were gone"
    assert min(client.cut_off_after for client in clients) >= CUT_OFF_SECONDS - 1


def test_without_the_proxy_a_few_slow_clients_are_enough(platform):
    """Why there is one: were gunicorn alone to withstand them, the proxy could go."""
    web, _ = platform
    with ExitStack() as held:
        for _ in range(SLOW_CLIENTS):
            held.callback(SlowClient(web, BODY_BEGUN).socket.close)
        with pytest.raises(TimeoutError):
            status_of(web, timeout=3)


def test_the_times_are_as_operations_says():
    caddyfile = (ROOT / "deploy" / "Caddyfile").read_text()
    operations = (ROOT / "docs" / "operations.md").read_text()

    for name, default in re.findall(r"\{\$(PROXY_READ_\w+):(\w+)\}", caddyfile):
        assert f"`{name}` ({default})" in operations
