from uuid import UUID

import pytest
from django.test import Client

from accounts.tokens import sign_in
from api.authentication import user_id_of, viewer_id_of
from eventbus.context import EventContext, current_context

pytestmark = [pytest.mark.urls("tests.api.probe"), pytest.mark.django_db]

URL = "/api/v1/probe/plain"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_request_begins_a_story_and_names_it(client):
    response = client.get(URL)

    story = response.json()["correlation"]
    assert response["X-Request-ID"] == story
    assert UUID(story).version == 7
    assert response.json() == {"correlation": story, "actor": "", "traceparent": ""}


def test_a_story_and_trace_begun_elsewhere_go_on(client):
    response = client.get(URL, HTTP_X_REQUEST_ID="order-42.retry_1", HTTP_TRACEPARENT=TRACE)

    assert response.json() == {"correlation": "order-42.retry_1", "actor": "", "traceparent": TRACE}
    assert response["X-Request-ID"] == "order-42.retry_1"


@pytest.mark.parametrize("header", ["short", "a" * 65, "two words here", "new\tline-here", "<script>alert"])
def test_a_strangers_header_does_not_reach_the_log(client, header):
    response = client.get(URL, HTTP_X_REQUEST_ID=header, HTTP_TRACEPARENT=header)

    assert UUID(response.json()["correlation"]).version == 7
    assert response.json()["traceparent"] == ""


def test_the_bearer_of_a_token_is_the_actor(client, user):
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {sign_in(user)['access']}")

    assert client.get(URL).json()["actor"] == str(user.pk)


def test_somebody_with_a_session_is_the_actor(user):
    browser = Client()
    browser.force_login(user)

    assert browser.get(URL).json()["actor"] == str(user.pk)


def test_nothing_of_a_request_is_left_after_it(client, user):
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {sign_in(user)['access']}")
    client.get(URL)

    assert current_context() == EventContext()


def test_who_asks_and_who_looks(rf, user):
    from django.contrib.auth.models import AnonymousUser
    from rest_framework.exceptions import NotAuthenticated

    request = rf.get("/")
    request.user = user
    assert (user_id_of(request), viewer_id_of(request)) == (user.pk, user.pk)

    request.user = AnonymousUser()
    assert viewer_id_of(request) is None
    with pytest.raises(NotAuthenticated):
        user_id_of(request)
