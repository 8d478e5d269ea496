"""Whether a file is known malware, asked of a scanner that may be there.

Only a scanner's plain word that nothing was found makes a file clean. That it was too large to be looked at, or that
something went wrong, does not.
"""

import socket
import struct
from contextlib import suppress
from typing import IO, Protocol

from media import conf
from media.exceptions import ScannerError
from media.models.assets import MediaAsset

Verdict = MediaAsset.ScanVerdict

UNIX = "unix:"
CHUNK = 256 * 1024
TIMEOUT_SECONDS = 120.0  # clamd answers after it has scanned everything
LONGEST_ANSWER = 4096
OVER_LIMIT = ("Heuristics.Limits.Exceeded", "INSTREAM size limit exceeded")


class Scanner(Protocol):
    """Looks at a file for malware."""

    def scan(self, stream: IO[bytes]) -> MediaAsset.ScanVerdict:
        """Its verdict on everything that the stream gives; raises ScannerError when it has none."""
        ...


class NoScanner:
    """Looks at nothing, and says so."""

    def scan(self, stream: IO[bytes]) -> MediaAsset.ScanVerdict:
        """None, whatever the stream gives."""
        return Verdict.NONE


class ClamAV:
    """ClamAV's daemon, by its command INSTREAM: the file goes over the socket, so the daemon needs no access to it.

    Set `AlertExceedsMax yes` in clamd.conf: without it the daemon calls clean what it was too limited to look into.
    """

    def __init__(self, address: str) -> None:
        """At `host:port` or `unix:/path`."""
        self._address = address

    def scan(self, stream: IO[bytes]) -> MediaAsset.ScanVerdict:
        """The daemon's verdict."""
        try:
            with self._connection() as connection:
                return verdict_of(self._answer(connection, stream))
        except (OSError, ValueError) as error:
            raise ScannerError(f"clamd at {self._address}: {error}") from error

    def _connection(self) -> socket.socket:
        if not self._address.startswith(UNIX):
            host, _, port = self._address.rpartition(":")
            return socket.create_connection((host, int(port)), timeout=TIMEOUT_SECONDS)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(TIMEOUT_SECONDS)
            connection.connect(self._address.removeprefix(UNIX))
        except OSError:
            connection.close()
            raise
        return connection

    def _answer(self, connection: socket.socket, stream: IO[bytes]) -> str:
        with suppress(ConnectionError):  # it hangs up on what is too large; what it said before is still to be read
            connection.sendall(b"zINSTREAM\0")
            while chunk := stream.read(CHUNK):
                connection.sendall(struct.pack(">I", len(chunk)) + chunk)
            connection.sendall(struct.pack(">I", 0))
        answer = b""
        while not answer.endswith(b"\0") and len(answer) < LONGEST_ANSWER:
            received = connection.recv(LONGEST_ANSWER)
            if not received:
                break
            answer += received
        return answer.decode(errors="replace")


def verdict_of(answer: str) -> MediaAsset.ScanVerdict:
    """What clamd's answer says; raises ScannerError for everything but a verdict."""
    if any(limit in answer for limit in OVER_LIMIT):
        return Verdict.TOO_LARGE
    if answer == "stream: OK\0":
        return Verdict.CLEAN
    if answer.startswith("stream: ") and answer.endswith(" FOUND\0"):
        return Verdict.INFECTED
    raise ScannerError(f"clamd answered {answer!r}")


def configured_scanner() -> Scanner:
    """The scanner that the settings name."""
    address = conf.clamav_address()
    return ClamAV(address) if address else NoScanner()
