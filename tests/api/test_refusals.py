"""Whoever reads the OpenAPI document knows every refusal, with an example of it."""

import importlib
from http import HTTPStatus
from types import SimpleNamespace

import pytest
from rest_framework.response import Response

from api.errors import CODES, PROBLEM
from eventbus.exceptions import DomainError
from tests.api import documented

MODULES = ["api.exceptions", "api.signed_urls", *(f"{room}.exceptions" for room in ("accounts", "content", "media"))]
MODULES += ["payments.exceptions", "subscriptions.exceptions"]
# These refuse an event, whose sender is another room: they end in a dead letter and never in an answer.
OF_EVENTS = {"unknown_payment", "invalid_billing_request", "payment_without_subscription"}
# This refuses an action in the admin; over HTTP the payment of somebody else is the only one to be found.
OF_THE_ADMIN = {"own_payment"}
OPERATIONS = list(documented.operations())


def named(value):
    return value if isinstance(value, str) else ""


def refusals():
    """Every error that stands for one answer: the bases of others say nothing by themselves."""
    found = []
    for name in MODULES:
        module = importlib.import_module(name)
        errors = [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == name]
        found += [each for each in errors if issubclass(each, DomainError) and not each.__subclasses__()]
    return found


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=named)
def test_every_refusal_is_shown_by_an_example(method, path, operation):
    for status, response in operation["responses"].items():
        if PROBLEM not in response.get("content", {}):
            assert status == "default" or int(status) < 400, f"{status} has no problem"
            continue
        shown = documented.examples_of(response)
        assert shown, f"{status} has no example"
        for code, example in shown.items():
            value = example["value"]
            assert (value["code"], str(value["status"])) == (code, status)
            assert set(value) - {"errors"} == {"type", "title", "status", "code", "detail", "trace_id"}


@pytest.mark.parametrize("refusal", refusals(), ids=lambda refusal: refusal.__name__)
def test_every_refusal_that_the_code_knows_is_named_by_an_operation(refusal):
    answered = set().union(*(documented.codes_of(operation) for _, _, operation in OPERATIONS))

    assert ((refusal.status, refusal.code) in answered) is (refusal.code not in OF_EVENTS | OF_THE_ADMIN)


def test_what_any_operation_may_answer_is_named_once():
    everywhere = documented.examples_of(documented.document()["components"]["responses"]["Problem"])

    assert set(everywhere) == {CODES[status] for status in (405, 406, 500, 503)}


@pytest.mark.parametrize(
    ("method", "path", "codes"),
    [
        ("POST", "/api/v1/tips", {"idempotency_key_required", "idempotency_key_reused", "idempotency_in_progress"}),
        ("PATCH", "/api/v1/tiers/{tier_id}", {"version_required", "version_malformed", "version_conflict"}),
        ("PATCH", "/api/v1/posts/{post_id}", {"version_required", "version_malformed", "version_conflict"}),
        ("GET", "/api/v1/payments", {"invalid_cursor", "validation_error", "not_authenticated", "account_suspended"}),
        ("POST", "/api/v1/auth/token", {"rate_limited", "invalid_credentials", "account_suspended"}),
        ("POST", "/api/v1/media", {"malformed_body", "payload_too_large", "unsupported_media_type"}),
        ("POST", "/api/v1/payments/{id}/confirm", {"malformed_json", "payload_too_large", "unsupported_media_type"}),
        ("GET", "/api/v1/me/earnings/summary", {"permission_denied"}),
    ],
)
def test_what_http_refuses_follows_from_what_is_asked(method, path, codes):
    [operation] = [each for asked, at, each in OPERATIONS if (asked, at) == (method, path)]

    assert {code for _, code in documented.codes_of(operation)} >= codes


def test_a_stranger_who_may_ask_without_a_name_is_not_told_of_roles():
    [operation] = [each for method, path, each in OPERATIONS if (method, path) == ("GET", "/api/v1/posts")]

    assert (HTTPStatus.FORBIDDEN, "permission_denied") not in documented.codes_of(operation)


def test_a_refusal_that_is_not_named_does_not_pass_unseen():
    match = SimpleNamespace(route="api/v1/tips/<uuid:pk>")
    view = SimpleNamespace(request=SimpleNamespace(method="GET", resolver_match=match))

    documented.require_documented(view, Response({"code": "not_found"}, status=404))
    with pytest.raises(documented.UndocumentedRefusalError, match=r"GET /api/v1/tips/\{\} answers"):
        documented.require_documented(view, Response({"code": "self_tip"}, status=422))
