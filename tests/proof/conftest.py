"""The bus with its sample room, its leases short enough to see many hand-overs."""

from tests.eventbus.conftest import bus, sample_room
from tests.kafka.conftest import builtin

__all__ = ["builtin", "bus", "sample_room"]
