"""Stands in for the project's web process."""

from collections.abc import Callable


def application(environ: dict[str, str], start_response: Callable[..., object]) -> list[bytes]:
    found = environ["PATH_INFO"] == "/healthz"
    start_response("200 OK" if found else "404 Not Found", [("Content-Type", "text/plain")])
    return [b"well\n"]
