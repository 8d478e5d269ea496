"""What can go wrong while the stack is started or asked for something."""

from collections.abc import Sequence


class DevstackError(Exception):
    """The base of them; the message is meant for the person at the terminal."""


class ProcessFailedError(DevstackError):
    """A process ended, or did not become ready in time; carries the last lines it wrote."""

    def __init__(self, reason: str, last_lines: Sequence[str] = ()) -> None:
        self.reason = reason
        self.last_lines = tuple(last_lines)
        super().__init__("\n".join([reason, *(f"    {line}" for line in self.last_lines)]))


class UnknownProcessError(DevstackError):
    """No process has this name."""


class AlreadyRunningError(DevstackError):
    """Another stack runs on the same directory."""


class NotRunningError(DevstackError):
    """No stack runs on the directory."""


class PortInUseError(DevstackError):
    """Somebody else listens on a port that the stack was told to use."""


class KafkaUnavailableError(DevstackError):
    """Apache Kafka cannot run here; the message says what to install."""


class BuiltinBrokerError(DevstackError):
    """The built-in broker refused a request or could not start."""


class GoProgramError(DevstackError):
    """A program written in Go cannot be built here; the message says what to install."""


class ToxiproxyError(DevstackError):
    """Toxiproxy does not answer, or refused a request."""
