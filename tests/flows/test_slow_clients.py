"""Slow clients, to send or to read: they keep nobody else waiting, and are cut off when the Caddyfile says."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.urls import reverse
from uuid_utils.compat import uuid7

from api.signed_urls import sign
from devstack.caddy import CADDY
from devstack.exceptions import GoProgramError
from devstack.ports import LOOPBACK, free_port
from tests.house.checkout import ROOT
from tests.media.factories import processed

PATIENCE_SECONDS = 120
CUT_OFF_SECONDS = 8
HELD_SECONDS = 3  # whoever is not answered for so long waits for a thread
MEBIBYTE = 1 << 20
PROBES = 10  # at a time: one may find the process that the slow clients happen to have left a thread
SLOW_CLIENTS = 40  # of each kind; eight alone would fill gunicorn's threads
HEAD_BEGUN = b"POST /api/v1/webhooks/sandbox HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
FORM_BEGUN = (  # the protection of forms reads all of it before it knows who sends it
    b"POST /admin/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: csrftoken=" + b"a" * 32 + b"\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 9000000\r\n\r\n"
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="file"\r\n\r\n' + b"1" * (MEBIBYTE + 8192)
)
BODY_BEGUN = (
    b"POST /api/v1/webhooks/sandbox HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: 200000\r\n\r\n" + b"1" * 8192  # more than a proxy that passes it on would hold back by chance
)
# With a secret the webhook is there, and its body is read before anything is known of who sends it.
SETTINGS = {"DJANGO_SETTINGS_MODULE": "config.settings.test", "SANDBOX_WEBHOOK_SECRETS": "whsec_slow"}


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


def status_of(port, path="/healthz", *, method="GET", timeout=PATIENCE_SECONDS):
    """What is answered to somebody who sends at once."""
    asking = HTTPConnection(LOOPBACK, port, timeout=timeout)
    try:
        asking.request(method, path)
        return asking.getresponse().status
    finally:
        asking.close()


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


@contextmanager
def running_platform(folder, **times):
    """The web process and the proxy before it, as the containers run them: the ports of both."""
    web, front = free_port(), free_port()
    given = {
        "PROXY_PORT": str(front),
        "PROXY_WEB": f"{LOOPBACK}:{web}",
        "PROXY_FILES": f"{LOOPBACK}:{free_port()}",
        "XDG_DATA_HOME": str(folder),
        **times,
    }
    caddy = [proxy(), "run", "--config", str(ROOT / "deploy" / "Caddyfile"), "--adapter", "caddyfile"]
    with (
        running(server_command(web), port=web, path="/healthz", environment=SETTINGS),
        running(caddy, port=front, path="/proxyz", environment=given),
    ):
        yield web, front


@pytest.fixture
def platform(tmp_path):
    """One that soon loses patience with who is slow to send."""
    slow = f"{CUT_OFF_SECONDS}s"
    with running_platform(tmp_path, PROXY_READ_HEADER=slow, PROXY_READ_BODY=slow) as ports:
        yield ports


@pytest.fixture
def large_file(transactional_db, settings, tmp_path):
    """A signed address of more bytes than all buffers on the way hold, and the settings of a process that has them."""
    settings.MEDIA_ROOT = tmp_path / "media"
    asset = processed()
    os.truncate(settings.MEDIA_ROOT / asset.variant_key("web_1280"), 64 * MEBIBYTE)
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    address = sign(media_id=asset.pk, variant="web_1280", viewer_id=None, ttl=timedelta(hours=1)).url
    return address, {**SETTINGS, "DATABASE_URL": database.geturl(), "MEDIA_ROOT": str(settings.MEDIA_ROOT)}


@contextmanager
def running_files(settings, folder, **times):
    """The platform with the process for files: the port of the proxy."""
    files = free_port()
    with (
        running(server_command(files), port=files, path="/healthz", environment=settings),
        running_platform(folder, PROXY_FILES=f"{LOOPBACK}:{files}", **times) as (_, front),
    ):
        yield front


def never_reading(port, address):
    """A client that asks and takes no byte of the answer."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(PATIENCE_SECONDS)
    client.connect((LOOPBACK, port))
    client.sendall(f"GET {address} HTTP/1.1\r\nHost: {LOOPBACK}\r\n\r\n".encode())
    return client


def is_held(port, address):
    """Whether nobody is there to answer."""
    try:
        status_of(port, address, timeout=HELD_SECONDS)
    except TimeoutError:
        return True
    return False


def wait_until_held(port, address):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_held(port, address):
        assert time.monotonic() < deadline, "the clients that read nothing hold no threads"


class SlowClient:
    """Begins a request, and goes on with a byte at a time."""

    def __init__(self, port, begun):
        self.socket = socket.create_connection((LOOPBACK, port), timeout=PATIENCE_SECONDS)
        self.begun_at = time.monotonic()
        self.cut_off_after = None
        with suppress(ConnectionError):  # refused before the end
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
            age = time.monotonic() - clients[-1].begun_at
            for _ in range(PROBES if CUT_OFF_SECONDS / 4 < age < CUT_OFF_SECONDS / 2 else 0):
                assert status_of(front) == HTTPStatus.OK
                served.append(time.monotonic() - clients[0].begun_at)
            time.sleep(0.5)

    assert served
    assert max(served) < CUT_OFF_SECONDS, "somebody was not served before the slow ones were gone"
    assert min(client.cut_off_after for client in clients) >= CUT_OFF_SECONDS - 1


def test_without_the_proxy_a_few_slow_clients_are_enough(platform):
    """Why there is one: were gunicorn alone to withstand them, the proxy could go."""
    web, _ = platform
    with ExitStack() as held:
        for _ in range(SLOW_CLIENTS):
            held.callback(SlowClient(web, BODY_BEGUN).socket.close)
        with pytest.raises(TimeoutError):
            status_of(web, timeout=3)


def test_no_form_is_so_large_that_a_thread_waits_for_its_end(tmp_path):
    with running_platform(tmp_path) as (_, front), ExitStack() as held:
        clients = [SlowClient(front, FORM_BEGUN) for _ in range(SLOW_CLIENTS)]
        answers = []
        for client in clients:
            held.callback(client.socket.close)
            client.socket.settimeout(PATIENCE_SECONDS)
            answers.append(client.socket.recv(12))

        assert set(answers) == {b"HTTP/1.1 413"}
        assert status_of(front) == HTTPStatus.OK


def test_whoever_never_reads_a_file_keeps_only_files_from_others(large_file, tmp_path):
    address, settings = large_file
    with running_files(settings, tmp_path) as front, ExitStack() as held:
        for _ in range(SLOW_CLIENTS):
            held.callback(never_reading(front, address).close)
        wait_until_held(front, address)

        assert status_of(front) == HTTPStatus.OK
        assert is_held(front, address)


def test_whoever_never_reads_a_file_is_cut_off_in_time(large_file, tmp_path):
    address, settings = large_file
    with running_files(settings, tmp_path, PROXY_WRITE=f"{2 * CUT_OFF_SECONDS}s") as front, ExitStack() as held:
        for _ in range(SLOW_CLIENTS):
            held.callback(never_reading(front, address).close)
        wait_until_held(front, address)

        assert status_of(front, address) == HTTPStatus.OK


def test_files_come_and_go_by_a_process_of_their_own(tmp_path):
    here = {"media_id": uuid7()}
    with running_platform(tmp_path) as (_, front):  # where that process is away
        asked = {
            ("GET", reverse("media-file", kwargs={**here, "variant": "hls"})),
            ("POST", reverse("upload-file", kwargs=here)),
            ("PUT", reverse("upload-part", kwargs={**here, "number": 1})),
            ("POST", reverse("media-list")),
            ("GET", reverse("earnings-statement")),
            ("GET", "/static/admin/css/base.css"),
        }
        answers = {status_of(front, path, method=method) for method, path in asked}
        others = status_of(front, reverse("media-list")), status_of(front, reverse("upload-list"), method="POST")

    assert answers == {HTTPStatus.BAD_GATEWAY}
    assert others == (HTTPStatus.UNAUTHORIZED, HTTPStatus.UNAUTHORIZED)


def test_the_times_are_as_operations_says():
    caddyfile = (ROOT / "deploy" / "Caddyfile").read_text()
    operations = (ROOT / "docs" / "operations.md").read_text()

    for name, default in re.findall(r"\{\$(PROXY_(?:READ_\w+|WRITE)):(\w+)\}", caddyfile):
        assert f"`{name}` ({default})" in operations
