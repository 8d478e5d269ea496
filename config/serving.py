"""What a web process does before its first request."""

from django.urls import get_resolver

from eventbus.collector import collect_rarely


def prepare_to_serve() -> None:
    """Load the routes and all behind them, and let the garbage collector never look at any of it again.

    A look through the whole of it stops a process for longer than most pages take to make.
    """
    get_resolver().url_patterns  # noqa: B018 - read for what it imports
    collect_rarely()
