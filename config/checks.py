"""What `manage.py check --deploy` must find before people do: names written in two places that must agree."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, register
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.settings import api_settings

from config.celery import BEAT_SCHEDULE, app


@register(Tags.urls, deploy=True)
def throttle_scopes_have_rates(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A view whose scope has no rate would fail at its first request."""
    return [
        Error(
            f"{view.__module__}.{view.__name__} is throttled as {scope!r}, which has no rate",
            hint="Add it to REST_FRAMEWORK['DEFAULT_THROTTLE_RATES'].",
            id="tributary.E001",
        )
        for view in views_of(get_resolver().url_patterns)
        for scope in scopes_of(view)
        if scope not in api_settings.DEFAULT_THROTTLE_RATES
    ]


@register(deploy=True)
def scheduled_tasks_exist(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A misspelt task in the beat table would fail in a worker, every few seconds, unseen."""
    app.loader.import_default_modules()
    return [
        Error(f"The beat table runs {entry['task']!r}, which is no task", id="tributary.E002")
        for entry in BEAT_SCHEDULE.values()
        if entry["task"] not in app.tasks
    ]


def views_of(patterns: Sequence[URLPattern | URLResolver]) -> Iterator[type[Any]]:
    """The class of every class-based view below these patterns."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from views_of(pattern.url_patterns)
        else:
            view = getattr(pattern.callback, "cls", None)
            if view is not None:
                yield view


def scopes_of(view: type[Any]) -> Iterator[str]:
    """The throttle scopes a view names, its own and its actions'."""
    actions = [getattr(member, "kwargs", None) for member in vars(view).values()]
    named = [getattr(view, "throttle_scope", None)]
    named += [options.get("throttle_scope") for options in actions if isinstance(options, dict)]
    for scope in filter(None, named):
        yield from [scope] if isinstance(scope, str) else scope.values()
