"""Optimistic concurrency: the version a client has seen comes as If-Match and leaves as ETag."""

import re

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from api.exceptions import MalformedVersionError, VersionConflictError, VersionRequiredError

IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, required=True, description='The version, as `"3"`.'
)
VERSION = re.compile(r'"(0|[1-9][0-9]{0,17})"', re.ASCII)


def required_version(request: Request) -> int:
    """The version in If-Match; without one a change is refused, for it might undo somebody else's."""
    header = request.headers.get("If-Match")
    if header is None:
        raise VersionRequiredError
    match = VERSION.fullmatch(header.strip())
    if match is None:
        raise MalformedVersionError
    return int(match[1])


def require_version(*, actual: int, expected: int) -> None:
    """Refuse unless the locked row still has the version the client has seen."""
    if actual != expected:
        raise VersionConflictError(f"You have seen version {expected}; it is version {actual} now")


def etag_of(version: int) -> str:
    """The version as an entity tag."""
    return f'"{version}"'


def with_version(response: Response, version: int) -> Response:
    """The response, carrying the version to send back as If-Match."""
    response["ETag"] = etag_of(version)
    return response
