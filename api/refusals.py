"""Which problems an operation may answer with: a room's rules as its view names them, HTTP's own by what it asks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self, TypeVar

from api import exceptions as http
from api.errors import CODES, PROBLEM
from api.permissions import Anyone
from eventbus.exceptions import DomainError

Handler = TypeVar("Handler", bound=Callable[..., Any])

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
TRACE_ID = "0199f0a2-5d3c-7c51-9a53-2f6f0a6f7f10"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One problem that a client may meet; `code` is what it decides by."""

    status: int
    code: str
    title: str

    @classmethod
    def of(cls, refusal: type[DomainError] | HTTPStatus) -> Self:
        """A rule's refusal, or what HTTP calls a status."""
        if isinstance(refusal, HTTPStatus):
            return cls(refusal.value, CODES[refusal.value], refusal.phrase)
        return cls(refusal.status, refusal.code, refusal.title)

    def example(self) -> dict[str, Any]:
        """A whole answer, as OpenAPI shows it."""
        body = {
            "type": f"urn:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.title,
            "trace_id": TRACE_ID,
        }
        if self == NOT_VALID:
            body["errors"] = {"colour": ["unknown field"]}
        return {"summary": self.title, "value": body}


NOT_VALID = Refusal(400, "validation_error", "The request is not valid")
MALFORMED_FORM = Refusal(400, "malformed_body", HTTPStatus.BAD_REQUEST.phrase)
KEY_REFUSALS: tuple[type[DomainError] | HTTPStatus, ...] = (
    http.IdempotencyKeyRequiredError,
    http.IdempotencyKeyMalformedError,
    http.IdempotencyKeyReusedError,
    http.IdempotencyInProgressError,
    # The key is held against the body, also where none is asked for.
    http.MalformedJsonError,
    http.PayloadTooLargeError,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
)
VERSION_REFUSALS = (http.MalformedVersionError, http.VersionRequiredError, http.VersionConflictError)
EVERYWHERE = (
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.NOT_ACCEPTABLE,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


def refuses(*refusals: type[DomainError] | HTTPStatus) -> Callable[[Handler], Handler]:
    """Write down which rules may refuse what a view's handler does; what HTTP refuses needs no mention."""

    def marked(handler: Handler) -> Handler:
        handler.refuses = refusals  # type: ignore[attr-defined]  # read by the OpenAPI schema
        return handler

    return marked


def response(refusals: Iterable[Refusal], *, description: str) -> dict[str, Any]:
    """An OpenAPI response with an example of each."""
    examples = {each.code: each.example() for each in refusals}
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {PROBLEM: {"schema": schema, "examples": examples}}}


def by_status(refusals: Iterable[Refusal]) -> dict[str, dict[str, Any]]:
    """The OpenAPI responses of these refusals."""
    found: dict[int, list[Refusal]] = {}
    for each in refusals:
        found.setdefault(each.status, []).append(each)
    return {str(status): response(found[status], description=HTTPStatus(status).phrase) for status in sorted(found)}


def of_access(view: Any, method: str) -> list[Refusal]:
    """What who asks is refused for."""
    if not view.get_authenticators():
        return []
    roles = [permission for permission in view.get_permissions() if isinstance(permission, Anyone)]
    return [
        Refusal.of(HTTPStatus.UNAUTHORIZED),
        *([Refusal.of(http.AccountSuspendedError)] if roles else []),
        *([Refusal.of(http.CsrfFailedError)] if method not in SAFE else []),
        *([Refusal.of(HTTPStatus.FORBIDDEN)] if any(map(is_for_a_role, roles)) else []),
    ]


def is_for_a_role(permission: Anyone) -> bool:
    """Whether being signed in is not enough."""
    return type(permission).__name__ not in ("Anyone", "SignedIn")


def of_input(operation: dict[str, Any]) -> list[Refusal]:
    """What the form of a request is refused for."""
    parameters = operation.get("parameters", [])
    content = operation.get("requestBody", {}).get("content", {})
    names = {parameter["name"] for parameter in parameters}
    return [
        *([NOT_VALID] if content or any(each["in"] == "query" for each in parameters) else []),
        *([Refusal.of(http.MalformedJsonError)] if "application/json" in content else []),
        *([MALFORMED_FORM] if "multipart/form-data" in content else []),
        *([Refusal.of(http.PayloadTooLargeError)] if content else []),
        *([Refusal.of(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)] if content else []),
        *([Refusal.of(http.InvalidCursorError)] if "cursor" in names else []),
        *(map(Refusal.of, VERSION_REFUSALS) if "If-Match" in names else []),
    ]
