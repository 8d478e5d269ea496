"""What a load balancer asks."""

import logging

from django.core.cache import cache
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

logger = logging.getLogger(__name__)


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers; nothing else is touched, so a slow database does not get it killed."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Whether requests can be served now, and if not, what is missing; why, the log says."""
    parts = {"database": database_state(), "cache": cache_state()}
    if all(state == "ok" for state in parts.values()):
        return JsonResponse({"status": "ok", **parts})
    return JsonResponse({"status": "unavailable", **parts}, status=503)


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
    """`ok`, or the kind of error; without the cache no rate can be counted."""
    try:
        cache.get("readyz")
    except Exception as error:
        logger.warning("Not ready: the cache does not answer", exc_info=True)
        return type(error).__name__
    return "ok"
