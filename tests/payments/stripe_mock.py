"""stripe-mock, Stripe's own server of its API description: it refuses a request of the wrong shape.

Built once by Go from the module proxy into the user's cache. Without Go the tests that need it are skipped and say so;
in CI that is a failure.
"""

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

VERSION = "v0.197.0"
MODULE = f"github.com/stripe/stripe-mock@{VERSION}"
FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tributary" / f"stripe-mock-{VERSION}"
BUILD_SECONDS = 600
START_SECONDS = 60


def program():
    """The path of stripe-mock, built when it is not there yet."""
    built = FOLDER / "stripe-mock"
    if built.exists():
        return built
    go = shutil.which("go")
    if go is None:
        missing("no go found; it builds stripe-mock (Debian: apt install golang-go)")
    FOLDER.mkdir(parents=True, exist_ok=True)
    result = subprocess.run(
        [go, "install", MODULE],
        env={**os.environ, "GOBIN": str(FOLDER)},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    if result.returncode:
        missing(f"go could not build {MODULE}: {result.stderr.strip().splitlines()[-1:]}")
    return built


def missing(reason):
    """Skip what needs stripe-mock; in CI it must be there."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def running():
    """The address of a stripe-mock that runs as long as the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [program(), "-http-addr", f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=START_SECONDS)


def wait_for(process, port):
    """Return when it listens."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"stripe-mock ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("stripe-mock did not listen in time")
