"""Rates by scope, several to a scope, counted for all processes together."""

import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle

from api.counting import counters

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
RATE = re.compile(r"(\d+)/(second|minute|hour|day)")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds."""

    requests: int
    seconds: int


class ScopedThrottle(BaseThrottle):
    """Counts the requests of a view's `throttle_scope`, by user when signed in and by address otherwise.

    `throttle_scope` is a name, or a mapping from action or HTTP method to a name: {"create": "payments"}. Rates stand
    in DEFAULT_THROTTLE_RATES as "10/minute,60/day". Windows are aligned to the clock and counted with one atomic
    increment, so parallel requests cannot slip through together; in exchange a burst may straddle two windows.
    """

    def __init__(self) -> None:
        self.retry_after: float | None = None

    def allow_request(self, request: Request, view: Any) -> bool:
        """Whether every rate of the scope still has room; a refused request is not counted against longer windows."""
        scope = scope_of(request, view)
        if not scope:
            return True
        return self.count(scope, self.client_of(request, view))

    def client_of(self, request: Request, view: Any) -> str:
        """Who is counted."""
        if request.user.is_authenticated:
            return f"user:{request.user.pk}"
        return f"address:{self.get_ident(request)}"

    def count(self, scope: str, client: str) -> bool:
        """Take one from each rate, the shortest window first; once refused, longer windows are only looked at."""
        now = time.time()
        digest = hashlib.sha256(client.encode()).hexdigest()
        for rate in rates_of(scope):
            window = int(now // rate.seconds)
            key = f"throttle:{scope}:{rate.seconds}:{window}:{digest}"
            if self.retry_after is None:
                full = counters.add(key, seconds=rate.seconds * 2) > rate.requests
            else:
                full = counters.read(key) >= rate.requests
            if full:
                self.retry_after = (window + 1) * rate.seconds - now
        return self.retry_after is None

    def wait(self) -> float | None:
        """Seconds until the window that is full ends."""
        return self.retry_after


def scope_of(request: Request, view: Any) -> str | None:
    """The scope of this view, or of the action or method asked for."""
    scope: str | Mapping[str, str] | None = getattr(view, "throttle_scope", None)
    if isinstance(scope, Mapping):
        return scope.get(getattr(view, "action", None) or "") or scope.get(request.method or "")
    return scope


def rates_of(scope: str) -> list[Rate]:
    """The rates of a scope, shortest window first; a scope without rates is a mistake in the settings."""
    rates = str(api_settings.DEFAULT_THROTTLE_RATES.get(scope, ""))
    if not rates:
        raise ImproperlyConfigured(f"DEFAULT_THROTTLE_RATES has no rate for the scope {scope!r}")
    return sorted((parse_rate(text) for text in rates.split(",")), key=lambda rate: rate.seconds)


def parse_rate(text: str) -> Rate:
    """The rate written as "10/minute"."""
    match = RATE.fullmatch(text.strip())
    if match is None:
        raise ImproperlyConfigured(f"{text!r} is not a rate such as '10/minute'")
    return Rate(requests=int(match[1]), seconds=SECONDS[match[2]])
