"""The refusals that the OpenAPI document names, and a guard that lets no view answer with another."""

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from rest_framework.response import Response
from rest_framework.views import APIView

from api.errors import PROBLEM

BUILDING = threading.RLock()
PLACE = re.compile(r"\{[^}]*\}|<[^>]*>")


class UndocumentedRefusalError(AssertionError):
    """A view refused for a reason that nobody who reads the document would expect."""


@cache
def document() -> dict[str, Any]:
    """What /api/schema gives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(SchemaGenerator(urlconf="config.urls").get_schema(request=None, public=True))


def examples_of(response: dict[str, Any]) -> dict[str, Any]:
    """The examples of a problem, by code."""
    found: dict[str, Any] = response.get("content", {}).get(PROBLEM, {}).get("examples", {})
    return found


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and all that is said of each operation."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def codes_of(operation: dict[str, Any]) -> set[tuple[int, str]]:
    """The status and code of each refusal that an operation names, and of those that any may answer with."""
    everywhere = document()["components"]["responses"]["Problem"]
    named = [*operation["responses"].values(), everywhere]
    values = [example["value"] for response in named for example in examples_of(response).values()]
    return {(value["status"], value["code"]) for value in values}


@cache
def documented() -> dict[tuple[str, str], set[tuple[int, str]]]:
    """The refusals of each operation, by method and path without the names of its parameters."""
    with BUILDING:
        return {(method, PLACE.sub("{}", path)): codes_of(operation) for method, path, operation in operations()}


def require_documented(view: APIView, response: Response) -> None:
    """Complain of a refusal of one of our operations that its document does not name."""
    match = view.request.resolver_match
    operation = (view.request.method or "", "/" + PLACE.sub("{}", match.route if match else ""))
    with BUILDING:
        named = documented().get(operation)
    if named is None or not isinstance(response.data, dict):
        return
    refusal = (response.status_code, response.data.get("code"))
    if refusal not in named:
        raise UndocumentedRefusalError(f"{operation[0]} {operation[1]} answers {refusal}; name it with @refuses")


@contextmanager
def no_undocumented_refusal() -> Iterator[None]:
    """Let every refusal of a view be looked up, whichever test provokes it."""
    handle = APIView.handle_exception

    def look(self: APIView, exc: Exception) -> Response:
        response = handle(self, exc)
        require_documented(self, response)
        return response

    APIView.handle_exception = look  # type: ignore[method-assign]
    try:
        yield
    finally:
        APIView.handle_exception = handle  # type: ignore[method-assign]
