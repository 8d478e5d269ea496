"""The environment, read by name; a variable of ours that nobody reads is a mistake, and says so at start."""

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

OUR_PREFIXES = ("KAFKA_", "EVENTBUS_", "CELERY_", "TRIBUTARY_")
# Set by others for others: Celery for its children, the consumers' supervisor for its own.
NOT_SETTINGS = frozenset(
    {
        "CELERY_LOADER",
        "CELERY_LOG_FILE",
        "CELERY_LOG_LEVEL",
        "CELERY_LOG_REDIRECT",
        "CELERY_LOG_REDIRECT_LEVEL",
        "TRIBUTARY_SUPERVISOR_PID",
    }
)
# Kubernetes describes every service to every pod: a service named `kafka` gives KAFKA_PORT_9092_TCP_ADDR and the like.
SERVICE_LINK = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP)(_\w+)?)")


class Environment(environ.Env):  # type: ignore[misc]  # the library ships no types
    """django-environ that remembers which names were asked for."""

    def __init__(self, **scheme: Any) -> None:
        super().__init__(**scheme)
        self.names_read: set[str] = set()

    def get_value(self, var: str, *args: Any, **kwargs: Any) -> Any:
        """The value, its name noted."""
        self.names_read.add(var)
        return super().get_value(var, *args, **kwargs)

    def whole(self, var: str, *, default: int, at_least: int, at_most: int) -> int:
        """A whole number within bounds; one beyond them, or no number, stops the start and says so."""
        bounds = f"{var} is a whole number from {at_least} to {at_most}"
        try:
            value = int(self.int(var, default=default))
        except ValueError as error:
            raise ImproperlyConfigured(bounds) from error
        if not at_least <= value <= at_most:
            raise ImproperlyConfigured(f"{bounds}, not {value}")
        return value

    def properties(self, prefix: str) -> dict[str, str]:
        """Properties of another program by the rest of the name: A_B is a.b, and A__B is a_b, as Kafka's images do."""
        names = [name for name in os.environ if name.startswith(prefix)]
        self.names_read.update(names)
        return {
            name.removeprefix(prefix).lower().replace("__", " ").replace("_", ".").replace(" ", "_"): os.environ[name]
            for name in names
        }

    def refuse_unknown(self) -> None:
        """Stop on a variable with one of our prefixes that no setting reads; call it when all are read."""
        unknown = unknown_names(os.environ, known=self.names_read)
        if unknown:
            raise ImproperlyConfigured("\n".join(explained(name, known=self.names_read) for name in unknown))

    def require(self, *names: str) -> None:
        """Stop unless all of these are set and not empty, naming every one that is missing."""
        self.names_read.update(names)
        missing = [name for name in names if not os.environ.get(name, "").strip()]
        if missing:
            raise ImproperlyConfigured(f"Set these environment variables: {', '.join(missing)}")


def unknown_names(names: Iterable[str], *, known: set[str]) -> list[str]:
    """Those that look like ours and are not."""
    return sorted(
        name
        for name in names
        if name.startswith(OUR_PREFIXES)
        and name not in known
        and name not in NOT_SETTINGS
        and not SERVICE_LINK.fullmatch(name)
    )


def explained(name: str, *, known: set[str]) -> str:
    """The mistake, and what was probably meant."""
    nearest = get_close_matches(name, sorted(known), n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    return f"The environment variable {name} is read by nothing{hint}"
