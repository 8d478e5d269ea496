"""What a load balancer asks, and what is answered where nothing is."""

import logging

from django.core.cache import cache
from django.db import DatabaseError, connection
from django.http import Http404, HttpRequest, HttpResponseBase, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from redis import RedisError

from api.errors import handler404

logger = logging.getLogger(__name__)


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers; nothing else is touched, so a slow database does not get it killed."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Whether requests can be served now, and what is missing; why, the log says.

    Without the shared cache they can: each process then counts rates by itself.
    """
    parts = {"database": database_state(), "cache": cache_state()}
    if parts["database"] != "ok":
        return JsonResponse({"status": "unavailable", **parts}, status=503)
    return JsonResponse({"status": "ok" if parts["cache"] == "ok" else "degraded", **parts})


@csrf_exempt
def nothing_here(request: HttpRequest, unknown: str) -> HttpResponseBase:
    """A problem, also to developers, whom Django would send a page of every path that there is."""
    return handler404(request, Http404())


def database_state() -> str:
    """`ok`, or the kind of error."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        logger.warning("Not ready: the database does not answer", exc_info=True)
        return type(error).__name__
    return "ok"


def cache_state() -> str:
    """`ok`, or the kind of error."""
    try:
        cache.get("readyz")
    except RedisError as error:
        logger.warning("Degraded: the shared cache does not answer", exc_info=True)
        return type(error).__name__
    return "ok"
