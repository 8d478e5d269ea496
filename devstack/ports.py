"""Loopback ports."""

import socket

from devstack.exceptions import PortInUseError

LOOPBACK = "127.0.0.1"

_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on and nobody here was given before: several are chosen before the first is used."""
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port: int = probe.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def preferred_port(port: int) -> int:
    """This port, or any free one when somebody else has it."""
    return port if is_free(port) else free_port()


def require_free(port: int, *, purpose: str, remedy: str) -> None:
    """Refuse a port that somebody else listens on."""
    if not is_free(port):
        raise PortInUseError(f"port {port} for {purpose} is in use; {remedy}")
