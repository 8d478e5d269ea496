"""Every refusal leaves as application/problem+json (RFC 9457), whoever raised it."""

import logging
import math
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views import csrf, defaults
from rest_framework import exceptions
from rest_framework.fields import get_error_detail
from rest_framework.response import Response

from eventbus.context import current_context
from eventbus.exceptions import DomainError

PROBLEM = "application/problem+json"
API_PREFIX = "/api/"
BEARER = 'Bearer realm="api"'

logger = logging.getLogger(__name__)

CODES = {
    400: "bad_request",
    401: "not_authenticated",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "payload_too_large",
    415: "unsupported_media_type",
    429: "rate_limited",
    500: "internal_error",
    503: "unavailable",
}


def problem(
    *, status: int, code: str = "", title: str = "", detail: str = "", errors: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The body of a refusal; trace_id is what to quote when asking for help."""
    code = code or CODES.get(status, "error")
    title = title or HTTPStatus(status).phrase
    body: dict[str, Any] = {
        "type": f"urn:problem:{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail or title,
    }
    if errors is not None:
        body["errors"] = errors
    body["trace_id"] = current_context().correlation_id
    return body


def problem_response(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's EXCEPTION_HANDLER; an exception nobody foresaw goes on to Django, which logs it and calls `handler500`."""
    if isinstance(exc, DomainError):
        return domain_answer(exc)
    if isinstance(exc, OperationalError | InterfaceError):
        logger.error("The database did not serve %s", context.get("request"), exc_info=exc)
        body = problem(status=503, detail="The service cannot answer now; try again shortly.")
        return answer(body, headers={"Retry-After": "2"})
    exc = in_terms_of_rest_framework(exc)
    if isinstance(exc, exceptions.ValidationError):
        body = problem(status=400, code="validation_error", title="The request is not valid", errors=errors_of(exc))
        return answer(body)
    return http_answer(exc) if isinstance(exc, exceptions.APIException) else None


def in_terms_of_rest_framework(exc: Exception) -> Exception:
    """Django's exceptions as DRF's; a 404 loses its words, for they would tell a missing object from a hidden one."""
    if isinstance(exc, Http404 | exceptions.NotFound):
        return exceptions.NotFound(HTTPStatus.NOT_FOUND.phrase)
    if isinstance(exc, DjangoPermissionDenied):
        return exceptions.PermissionDenied()
    if isinstance(exc, DjangoValidationError):
        return exceptions.ValidationError(detail=get_error_detail(exc))
    return exc


def domain_answer(exc: DomainError) -> Response:
    """A rule's refusal, in the words of its class."""
    headers = {}
    retry_after = getattr(exc, "retry_after", None)
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    if exc.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = BEARER
    return answer(problem(status=exc.status, code=exc.code, title=exc.title, detail=exc.detail), headers=headers)


def http_answer(exc: exceptions.APIException) -> Response:
    """A refusal of DRF itself: authentication, permission, method, media type, rate."""
    status = exc.status_code
    headers = {}
    if isinstance(exc, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        # DRF answers 403 where the first authenticator has no challenge; who you are is always a 401 here.
        status = HTTPStatus.UNAUTHORIZED
        headers["WWW-Authenticate"] = getattr(exc, "auth_header", BEARER)
    wait = getattr(exc, "wait", None)  # Throttled only
    if wait is not None:
        headers["Retry-After"] = str(math.ceil(wait))
    if isinstance(exc, exceptions.ParseError):
        return answer(problem(status=400, code="malformed_body", detail=sentence(exc.detail)))
    return answer(problem(status=status, detail=sentence(exc.detail)), headers=headers)


def answer(body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """The problem as DRF's response."""
    return Response(body, status=body["status"], headers=headers, content_type=PROBLEM)


def sentence(detail: Any) -> str:
    """One readable sentence out of DRF's detail, which may be nested."""
    if isinstance(detail, dict):
        return sentence(detail.get("detail") or next(iter(detail.values()), ""))
    if isinstance(detail, list):
        return sentence(detail[0]) if detail else ""
    return str(detail)


def errors_of(exc: exceptions.ValidationError) -> dict[str, Any]:
    """The field map of a validation error; what belongs to no field stands under `non_field_errors`."""
    if isinstance(exc.detail, dict):
        return exc.detail
    return {"non_field_errors": exc.detail}


def json_problem(body: dict[str, Any]) -> JsonResponse:
    """The problem as Django's response, for what never reached a DRF view."""
    return JsonResponse(body, status=body["status"], content_type=PROBLEM)


def handler404(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """The same body for a path nobody serves as for an object nobody may know of."""
    if request.path.startswith(API_PREFIX):
        return json_problem(problem(status=404))
    return defaults.page_not_found(request, exception)


def handler403(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """A refusal raised by a view outside DRF."""
    if request.path.startswith(API_PREFIX):
        return json_problem(problem(status=403))
    return defaults.permission_denied(request, exception)


def handler400(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """A request that Django itself finds suspicious."""
    if request.path.startswith(API_PREFIX):
        return json_problem(problem(status=400))
    return defaults.bad_request(request, exception)


def handler500(request: HttpRequest) -> HttpResponseBase:
    """Nothing about the failure but the trace_id that finds it in the log."""
    if request.path.startswith(API_PREFIX):
        return json_problem(problem(status=500))
    return defaults.server_error(request)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """CSRF_FAILURE_VIEW: a problem for the API, Django's page for the admin."""
    if request.path.startswith(API_PREFIX):
        return json_problem(problem(status=403, code="csrf_failed", title="The CSRF token is missing or wrong"))
    return csrf.csrf_failure(request, reason=reason)
