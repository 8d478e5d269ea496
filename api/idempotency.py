"""The same Idempotency-Key twice is one effect and one answer.

The record is inserted in a transaction of its own, so a second request sees it at once; the work and the answer are
committed together, so there is never one without the other. A refusal that is *raised* leaves nothing behind and may be
tried again with the same key; a response that is *returned* is kept, whatever its status.

Work that waits for somebody else, a store for instance, comes first: under the key, and outside the transaction.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, cast
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from api.authentication import user_id_of
from api.exceptions import (
    IdempotencyInProgressError,
    IdempotencyKeyMalformedError,
    IdempotencyKeyRequiredError,
    IdempotencyKeyReusedError,
)
from api.models import IdempotencyRecord

Arguments = ParamSpec("Arguments")
Handler = Callable[Concatenate[Any, Request, Arguments], Response]
Preparation = Callable[..., AbstractContextManager[Any]]  # given the request and the ids in its address
PreparedHandler = Callable[[Any, Request, Any], Response]

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotent-Replayed"
KEY = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
LOCK = timedelta(seconds=60)  # longer than any web worker may live in one request
KEPT = timedelta(hours=72)
KEPT_HEADERS = ("ETag", "Location")


def idempotent(method: Handler[Arguments]) -> Handler[Arguments]:
    """Make a view's handler (`post`, `create`, an action) answer once per Idempotency-Key, inside one transaction."""

    @wraps(method)
    def handler(self: Any, request: Request, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Response:
        return answer_once(request, nullcontext, lambda _: method(self, request, *args, **kwargs))

    handler.idempotent = True  # type: ignore[attr-defined]  # read by the OpenAPI schema
    return cast(Handler[Arguments], handler)


def idempotent_after(prepare: Preparation) -> Callable[[PreparedHandler], Callable[..., Response]]:
    """Like `idempotent`, with slow work before the transaction; the handler is given what it yields.

    `prepare` is a context manager. It sees the error when the answer does not come about, and takes its work back.
    """

    def decorated(method: PreparedHandler) -> Callable[..., Response]:
        @wraps(method)
        def handler(self: Any, request: Request, **ids: UUID) -> Response:
            return answer_once(request, partial(prepare, request, **ids), partial(method, self, request))

        handler.idempotent = True  # type: ignore[attr-defined]  # read by the OpenAPI schema
        return handler

    return decorated


def answer_once(
    request: Request, prepare: Callable[[], AbstractContextManager[Any]], work: Callable[[Any], Response]
) -> Response:
    """The kept answer to this request's key, or that of the work, kept with it."""
    record = claim(request)
    if record.state == IdempotencyRecord.State.DONE:
        return replayed(record)
    try:
        with prepare() as prepared, transaction.atomic():
            response = work(prepared)
            store(record, response)
    except BaseException:
        IdempotencyRecord.objects.held(record).delete()
        raise
    return response


def claim(request: Request) -> IdempotencyRecord:
    """The record of this request's key: running and ours to work on, or done and to be replayed."""
    fresh = new_record(request)
    with transaction.atomic(durable=True):
        IdempotencyRecord.objects.bulk_create([fresh], ignore_conflicts=True)
        record = (
            IdempotencyRecord.objects.select_for_update()
            .filter(user_id=fresh.user_id, endpoint=fresh.endpoint, key=fresh.key)
            .first()
        )
        if record is None:  # refused and released between the two statements
            raise IdempotencyInProgressError
        if record.pk == fresh.pk:
            return record
        return settle(record, fresh=fresh)


def settle(record: IdempotencyRecord, *, fresh: IdempotencyRecord) -> IdempotencyRecord:
    """What an earlier request with this key means for a new one; the row is locked."""
    now = timezone.now()
    if record.expires_at <= now:
        record.delete()
        fresh.save(force_insert=True)
        return fresh
    if record.request_hash != fresh.request_hash:
        raise IdempotencyKeyReusedError
    if record.state == IdempotencyRecord.State.DONE:
        return record
    if record.locked_until > now:
        raise IdempotencyInProgressError(retry_after=math.ceil((record.locked_until - now).total_seconds()))
    record.locked_until = fresh.locked_until
    record.expires_at = fresh.expires_at
    record.save(update_fields=["locked_until", "expires_at"])
    return record


def store(record: IdempotencyRecord, response: Response) -> None:
    """Write the answer beside the work; if somebody took the lock over, the work is rolled back with it."""
    kept = IdempotencyRecord.objects.held(record).update(
        state=IdempotencyRecord.State.DONE,
        response_status=response.status_code,
        response_body="" if response.data is None else JSONRenderer().render(response.data).decode(),
        response_headers={name: response[name] for name in KEPT_HEADERS if name in response},
        resource_id=resource_id_of(response.data),
    )
    if not kept:
        raise IdempotencyInProgressError("Another request with this key took over")


def replayed(record: IdempotencyRecord) -> Response:
    """The stored answer, marked as such."""
    headers = {**record.response_headers, REPLAYED_HEADER: "true"}
    data = json.loads(record.response_body) if record.response_body else None
    return Response(data, status=record.response_status, headers=headers)


def new_record(request: Request) -> IdempotencyRecord:
    """A record of this request as the first of its key."""
    now = timezone.now()
    return IdempotencyRecord(
        user_id=user_id_of(request),
        endpoint=endpoint_of(request),
        key=key_of(request),
        request_hash=hash_of(request),
        locked_until=now + LOCK,
        expires_at=now + KEPT,
    )


def key_of(request: Request) -> str:
    """The key, required and well formed."""
    key = request.headers.get(HEADER)
    if key is None:
        raise IdempotencyKeyRequiredError
    if not KEY.fullmatch(key):
        raise IdempotencyKeyMalformedError
    return key


def endpoint_of(request: Request) -> str:
    """The route without its ids: the ids are part of what is hashed."""
    match = request.resolver_match
    return f"{request.method} {match.route if match else request.path}"[:200]


def hash_of(request: Request) -> str:
    """A digest of what was asked for: the same question in another order of names is the same question."""
    question = [request.method, request.get_full_path(), request.data]
    canonical = json.dumps(question, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def resource_id_of(data: Any) -> UUID | None:
    """The id of what was made, where the answer names one."""
    named = data.get("id") if isinstance(data, dict) else None
    try:
        return UUID(str(named)) if named else None
    except ValueError:
        return None
