"""Requests made up from the API's own schema: every answer is one that the schema names, and none is a crash.

`FUZZ_EXAMPLES=200 .venv/bin/pytest tests/api/test_fuzz.py -p no:randomly` looks longer.
"""

import json
import os
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, settings
from rest_framework_simplejwt.tokens import RefreshToken
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from accounts.models import User
from api.throttling import ScopedThrottle
from config.wsgi import application
from tests.api.belongings import everything

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "6"))
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


ANYWHERE = ("405", "406", "503")  # what the document says once for all operations; not 500


def described() -> dict[str, Any]:
    """The document that /api/schema gives, its `default` spelt out, which would make any status a described one."""
    document: dict[str, Any] = json.loads(
        json.dumps(SchemaGenerator().get_schema(request=None, public=True), default=str)
    )
    for operations in document["paths"].values():
        for operation in operations.values():
            problem = operation["responses"].pop("default")
            operation["responses"] = {**dict.fromkeys(ANYWHERE, problem), **operation["responses"]}
    return document


schema = schemathesis.openapi.from_dict(described())
schema.app = application


@pytest.fixture(params=["a stranger", "somebody with everything"])
def world(request, db, monkeypatch) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """The headers of who asks, and ids that exist, by the names that paths and bodies have for them."""
    monkeypatch.setattr(ScopedThrottle, "allow_request", lambda *_: True)
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)  # it would close the test's own connection
    try:
        yield ({}, {}) if request.param == "a stranger" else signed_in(*everything())
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)


def signed_in(user: User, ids: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The headers of this user."""
    return {"Authorization": f"Bearer {RefreshToken.for_user(user).access_token}"}, ids


def aim(case: schemathesis.Case, ids: dict[str, str]) -> None:
    """Let the made-up ids be those of things that exist."""
    room = case.operation.path.split("/")[3]
    for name in case.path_parameters:
        known = ids.get(room if name == "id" else name)
        if known:
            case.path_parameters[name] = known
    if isinstance(case.body, dict):
        case.body.update({name: ids[name] for name in case.body.keys() & ids.keys() if is_id(case.body[name])})


def is_id(value: object) -> bool:
    """Whether this is an id, made up or not; what is wrong on purpose stays wrong."""
    try:
        return isinstance(value, str) and bool(UUID(value))
    except ValueError:
        return False


@schema.parametrize()
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
def test_every_answer_is_one_that_the_schema_names(case: schemathesis.Case, world: Any) -> None:
    headers, ids = world
    aim(case, ids)

    case.call_and_validate(base_url="http://localhost", headers=headers, checks=CHECKS)
