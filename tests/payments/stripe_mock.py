"""stripe-mock, Stripe's own server of its API description: it refuses a request of the wrong shape."""

import os
import socket
import subprocess
import time
from contextlib import contextmanager

import pytest

from devstack.exceptions import GoProgramError
from devstack.go_programs import GoProgram

STRIPE_MOCK = GoProgram(name="stripe-mock", package="github.com/stripe/stripe-mock", version="0.197.0")
START_SECONDS = 60


def program():
    """The path of stripe-mock; without Go the tests that need it are skipped with the reason, but in CI they fail."""
    try:
        return STRIPE_MOCK.installed()
    except GoProgramError as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))


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
