"""JSON as strict as the strictest reader behind us: what two parsers could read differently is refused."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from django.conf import settings
from rest_framework.parsers import JSONParser

from api.exceptions import MalformedJsonError, PayloadTooLargeError

# A lone surrogate cannot be stored as UTF-8, and PostgreSQL refuses NUL in text.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
MAX_DEPTH = 20


class StrictJSONParser(JSONParser):
    """Bounded, UTF-8, no duplicate keys, no NaN or infinity, no text a database could not hold."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        """The parsed body; raises PayloadTooLargeError or MalformedJsonError."""
        return loads(bounded(stream))


def bounded(stream: Any) -> bytes:
    """The whole body, never reading more than the cap allows."""
    limit: int = settings.API_MAX_BODY_BYTES
    body: bytes = stream.read(limit + 1)
    if len(body) > limit:
        raise PayloadTooLargeError(f"A request body may have {limit} bytes")
    return body


def loads(body: bytes) -> Any:
    """The value of a JSON text."""
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=unique_keys,
            parse_constant=refuse_constant,
            parse_float=finite,
        )
    except RecursionError as error:
        raise MalformedJsonError(f"JSON may be nested {MAX_DEPTH} deep") from error
    except ValueError as error:  # bad JSON, bad UTF-8, an integer of thousands of digits
        raise MalformedJsonError(str(error)) from error
    refuse_unstorable(value, depth=1)
    return value


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object; of two values under one name the client cannot mean both."""
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise MalformedJsonError("A name stands twice in one object")
        result[name] = value
    return result


def refuse_constant(name: str) -> NoReturn:
    """NaN and Infinity are JavaScript, not JSON."""
    raise MalformedJsonError(f"{name} is not JSON")


def finite(digits: str) -> float:
    """The number, unless it is too large to be one."""
    number = float(digits)
    if math.isinf(number):
        raise MalformedJsonError("A number is too large")
    return number


def refuse_unstorable(value: Any, *, depth: int) -> None:
    """Walk the value once: how deep it is and whether its texts can be stored."""
    if isinstance(value, str):
        if UNSTORABLE.search(value):
            raise MalformedJsonError("A text holds NUL or half a surrogate pair")
        return
    if not isinstance(value, dict | list):
        return
    if depth > MAX_DEPTH:
        raise MalformedJsonError(f"JSON may be nested {MAX_DEPTH} deep")
    if isinstance(value, dict):
        for name in value:
            refuse_unstorable(name, depth=depth + 1)
        value = list(value.values())
    for part in value:
        refuse_unstorable(part, depth=depth + 1)
