"""Which story a request belongs to: its correlation id, its trace, and who acts in it."""

import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from uuid_utils.compat import uuid7

from eventbus.context import EventContext, current_context, event_context

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


class RequestContextMiddleware:
    """Publish everything inside a request as part of one story, and name the story in the answer's X-Request-ID."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        context = EventContext(
            correlation_id=sane(REQUEST_ID, request.headers.get("X-Request-ID", "")) or str(uuid7()),
            traceparent=sane(TRACEPARENT, request.headers.get("traceparent", "")),
        )
        with ExitStack() as story:
            story.enter_context(event_context(context))
            request.story = story  # type: ignore[attr-defined]  # act_as() adds to it once the user is known
            response = self.get_response(request)
        response.headers["X-Request-ID"] = context.correlation_id
        return response

    def process_view(self, request: HttpRequest, *_: Any) -> None:
        """Somebody signed in by cookie acts as themselves; bearers of a token are known only inside DRF."""
        if settings.SESSION_COOKIE_NAME in request.COOKIES and request.user.is_authenticated:
            act_as(request, request.user.pk)


def act_as(request: HttpRequest, user_id: object) -> None:
    """From here to the end of the request, this user is the actor of every event."""
    story: ExitStack | None = getattr(request, "story", None)
    if story is not None:
        story.enter_context(event_context(replace(current_context(), actor=str(user_id))))


def sane(pattern: re.Pattern[str], value: str) -> str:
    """The value if it has the expected form; a stranger's header goes into logs and events, so nothing else passes."""
    return value if pattern.fullmatch(value) else ""
