"""Every route of the platform, walked by everybody it may meet."""

import json
from uuid import uuid4

import pytest
from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from accounts.models import Role
from accounts.services import become_creator, grant_role, suspend_user
from tests.accounts.factories import make_user
from tests.api.belongings import everything

# What a stranger may ask; everything else answers 401 before it looks at anything.
PUBLIC = {
    ("GET", "healthz"),
    ("GET", "readyz"),
    ("GET", "api/schema"),
    ("GET", "api/docs"),
    ("GET", "api/<path:unknown>"),  # nothing is there
    ("POST", "api/v1/auth/register"),
    ("POST", "api/v1/auth/token"),
    ("POST", "api/v1/auth/token/refresh"),
    ("POST", "api/v1/auth/token/blacklist"),
    ("GET", "api/v1/auth/session"),
    ("POST", "api/v1/auth/session"),
    ("DELETE", "api/v1/auth/session"),
    ("POST", "api/v1/webhooks/<slug:gateway>"),  # the signature is the permission
    ("GET", "api/v1/creators/<str:handle_or_id>"),
    ("GET", "api/v1/creators/<uuid:creator_id>/tiers"),
    ("GET", "api/v1/tiers/<uuid:tier_id>"),
    ("GET", "api/v1/feed"),
    ("GET", "api/v1/posts"),
    ("GET", "api/v1/posts/trending"),
    ("GET", "api/v1/posts/search"),
    ("GET", "api/v1/posts/<uuid:post_id>"),
    # Whoever may read the post may read these; a post may be public.
    ("GET", "api/v1/posts/<uuid:post_id>/comments"),
    ("GET", "api/v1/posts/<uuid:post_id>/comments/<uuid:comment_id>/replies"),
    ("GET", "api/v1/posts/<uuid:post_id>/media/<uuid:media_id>/url"),
    ("POST", "api/v1/media/uploads/<uuid:media_id>/file"),  # the signed policy in the form is the permission
    ("PUT", "api/v1/media/uploads/<uuid:media_id>/parts/<int:number>"),  # the signed policy in the address likewise
    ("GET", "api/v1/media/files/<uuid:media_id>/<slug:variant>"),  # the signature in the address is the permission
}
# What others are told of a locked post, or may do to anybody; of everything else that is not theirs nobody learns
# whether it is there.
OPEN_TO_OTHERS = {
    ("PUT", "api/v1/me/blocks/<uuid:user_id>"): 200,
    ("PUT", "api/v1/posts/<uuid:post_id>/like"): 403,
    ("DELETE", "api/v1/posts/<uuid:post_id>/like"): 200,
    ("POST", "api/v1/posts/<uuid:post_id>/reports"): 201,
    ("POST", "api/v1/posts/<uuid:post_id>/comments"): 403,
}
NOT_OF_ONE_THING = {
    ("GET", "api/v1/creators/<uuid:creator_id>/access"): 200,  # one's own access, to nobody's posts too
    ("DELETE", "api/v1/me/blocks/<uuid:user_id>"): 204,  # one's own block, also of nobody
}
NEEDED = {
    ("POST", "api/v1/posts/<uuid:post_id>/schedule"): {"publish_at": "2099-01-31T09:00:00Z"},
    ("POST", "api/v1/posts/<uuid:post_id>/reports"): {"reason": "spam"},
    ("POST", "api/v1/posts/<uuid:post_id>/comments"): {"body": "Hello"},
    ("PATCH", "api/v1/comments/<uuid:comment_id>"): {"body": "Hello"},
    ("GET", "api/v1/media/<uuid:media_id>/url"): {"variant": "thumb_320"},
}
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def routes(patterns, prefix=""):
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            if pattern.app_name != "admin":  # Django's own, and behind its own log-in
                yield from routes(pattern.url_patterns, prefix + str(pattern.pattern))
        elif isinstance(pattern, URLPattern):
            yield prefix + str(pattern.pattern), pattern


def operations():
    for route, pattern in routes(get_resolver().url_patterns):
        actions = getattr(pattern.callback, "actions", None)
        view = getattr(pattern.callback, "cls", None)
        for method in METHODS:
            offered = method.lower() in actions if actions else view is None or hasattr(view, method.lower())
            if offered and (view is not None or method == "GET"):
                yield method, route, pattern


OPERATIONS = list(operations())
PROTECTED = [each for each in OPERATIONS if each[:2] not in PUBLIC]


def path_of(route, pattern):
    for name in pattern.pattern.converters:
        for kind, value in (("uuid", str(uuid4())), ("str", str(uuid4())), ("slug", "web"), ("int", "1")):
            route = route.replace(f"<{kind}:{name}>", value)
    return f"/{route}"


def call(client, method, route, pattern):
    return client.generic(method, path_of(route, pattern), "{}", content_type="application/json")


@pytest.fixture(params=["user", "creator", "moderator", "staff_finance"])
def somebody(request, db):
    user = make_user()
    if request.param == "creator":
        become_creator(user_id=user.pk, handle="walker")
    elif request.param != "user":
        grant_role(user_id=user.pk, role=Role(request.param))
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(user)
    return client


def named(value):
    return value if isinstance(value, str) else ""


def test_the_list_of_public_routes_names_only_routes_that_exist():
    assert {each[:2] for each in OPERATIONS} >= PUBLIC


@pytest.mark.django_db
@pytest.mark.parametrize(("method", "route", "pattern"), PROTECTED, ids=named)
def test_a_stranger_is_stopped_at_every_door_that_is_not_public(method, route, pattern):
    response = call(APIClient(), method, route, pattern)

    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")


@pytest.mark.django_db
@pytest.mark.parametrize(("method", "route", "pattern"), PROTECTED, ids=named)
def test_a_suspended_user_is_stopped_at_every_door(method, route, pattern):
    client = APIClient()
    client.force_authenticate(suspend_user(user_id=make_user().pk))

    response = call(client, method, route, pattern)

    assert (response.status_code, response.json()["code"]) == (403, "account_suspended")


def test_whoever_asks_for_what_is_not_there_gets_an_answer_in_the_common_form(somebody):
    for method, route, pattern in OPERATIONS:
        response = call(somebody, method, route, pattern)
        assert response.status_code < 500, (method, route)
        if response.status_code >= 400:
            assert response["Content-Type"] == "application/problem+json", (method, route)
            assert response.json()["trace_id"], (method, route)


def test_an_object_that_does_not_exist_is_never_acted_upon(somebody):
    for method, route, pattern in PROTECTED:
        if pattern.pattern.converters:
            status = call(somebody, method, route, pattern).status_code
            assert status >= 400 or NOT_OF_ONE_THING.get((method, route)) == status, (method, route, status)


def address_of(route, pattern, ids):
    """The route's path to things of these ids, by the names of its parameters; a `pk` is named by its room."""
    for name in pattern.pattern.converters:
        known = ids.get(route.split("/")[2] if name == "pk" else name, str(uuid4()))
        for kind, value in (("uuid", known), ("str", known), ("int", "1")):
            route = route.replace(f"<{kind}:{name}>", value)
    return f"/{route}"


def ask(client, method, address, sent):
    headers = {"Idempotency-Key": uuid4().hex, "If-Match": '"1"'}
    if method == "GET":
        response = client.get(address, sent, headers=headers)
    else:
        response = client.generic(method, address, json.dumps(sent), content_type="application/json", headers=headers)
    body = response.json() if response.content else {}
    return response.status_code, {name: value for name, value in body.items() if name != "trace_id"}


def answers_to(user, ids):
    """What this user is told of things of these ids, each as if nothing had been asked before."""
    client, told = APIClient(), {}
    client.force_authenticate(user)
    for method, route, pattern in PROTECTED:
        if pattern.pattern.converters:
            before = transaction.savepoint()
            sent = NEEDED.get((method, route), {})
            told[method, route] = ask(client, method, address_of(route, pattern, ids), sent)
            transaction.savepoint_rollback(before)
    return told


@pytest.fixture
def stranger(db):
    user = make_user()
    become_creator(user_id=user.pk, handle="stranger")
    return user


def test_what_is_somebody_elses_is_answered_as_what_is_not_there(stranger):
    _, theirs = everything()
    found, missing = answers_to(stranger, theirs), answers_to(stranger, {})

    assert {place: status for place, (status, _) in missing.items() if status != 404} == NOT_OF_ONE_THING
    assert {place: found[place][0] for place in found if found[place] != missing[place]} == OPEN_TO_OTHERS


def test_its_owner_finds_each_thing_by_the_same_path(db):
    owner, own = everything()
    hidden = [place for place, (status, _) in answers_to(owner, own).items() if status == 404]

    assert hidden == [("POST", "api/v1/payments/<uuid:pk>/refunds")]  # its payer, whose it is not to give back
