"""Which events a replay takes: every bound that is given must hold."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from eventbus.messages import Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Topics by their full names; times of messages, from `since` up to but without `until`; no keys mean any key."""

    topics: tuple[str, ...]
    since: datetime | None = None
    until: datetime | None = None
    keys: tuple[str, ...] = ()
    event_ids: tuple[str, ...] = ()

    def takes(self, delivery: Delivery) -> bool:
        """Whether this message is meant."""
        message = delivery.message
        sent = message.timestamp
        return (
            message.topic in self.topics
            and (self.since is None or (sent is not None and sent >= self.since))
            and (self.until is None or (sent is not None and sent < self.until))
            and (not self.keys or delivery.key in self.keys)
            and (not self.event_ids or delivery.event_id in self.event_ids)
        )

    def to_json(self) -> Any:
        """As it is kept in the replay's row."""
        return msgspec.to_builtins(self)

    @classmethod
    def from_json(cls, kept: Any) -> "Choice":
        """The choice of a row."""
        return msgspec.convert(kept, cls)

    def __str__(self) -> str:
        bounds = [f"since {self.since.isoformat()}" if self.since else "", *self._named("key", self.keys)]
        bounds += [f"until {self.until.isoformat()}" if self.until else "", *self._named("event", self.event_ids)]
        return " ".join([", ".join(self.topics), *filter(None, bounds)])

    @staticmethod
    def _named(what: str, values: tuple[str, ...]) -> list[str]:
        shown = [f"{what} {value}" for value in values[:10]]
        return [*shown, f"and {len(values) - 10} more"] if len(values) > 10 else shown  # noqa: PLR2004 - as shown above
