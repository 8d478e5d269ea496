import pytest
from rest_framework.test import APIClient

from accounts.services import suspend_user
from tests.accounts.factories import PASSWORD, make_user

URL = "/api/v1/auth/session"


@pytest.fixture
def browser():
    """A client that is held to CSRF as a browser is."""
    return APIClient(enforce_csrf_checks=True)


def csrf(browser):
    browser.get(URL)
    return {"HTTP_X_CSRFTOKEN": browser.cookies["csrftoken"].value}


def sign_in(browser, user):
    return browser.post(URL, {"email": user.email, "password": PASSWORD}, **csrf(browser))


def test_a_session_begins_and_ends(browser, user):
    assert sign_in(browser, user).json()["id"] == str(user.pk)
    assert browser.get("/api/v1/me").status_code == 200

    assert browser.delete(URL, **csrf(browser)).status_code == 204
    assert browser.get("/api/v1/me").status_code == 401


def test_logging_in_without_the_csrf_token_is_refused(browser, user):
    response = browser.post(URL, {"email": user.email, "password": PASSWORD})

    assert (response.status_code, response.json()["code"]) == (403, "csrf_failed")
    assert response["Content-Type"] == "application/problem+json"
    assert browser.get("/api/v1/me").status_code == 401


def test_a_change_by_cookie_without_the_csrf_token_is_refused(browser, user):
    sign_in(browser, user)

    response = browser.patch("/api/v1/me", {"display_name": "Stolen"})

    assert (response.status_code, response.json()["code"]) == (403, "csrf_failed")
    user.refresh_from_db()
    assert user.display_name == "Fan"


def test_the_session_key_changes_at_log_in(browser, user):
    browser.get(URL)
    sign_in(browser, user)
    first = browser.cookies["sessionid"].value
    sign_in(browser, make_user())

    assert browser.cookies["sessionid"].value != first


def test_a_suspended_user_may_leave_and_nothing_else(browser, user):
    sign_in(browser, user)
    suspend_user(user_id=user.pk)

    assert browser.get("/api/v1/me").json()["code"] == "account_suspended"
    assert browser.delete(URL, **csrf(browser)).status_code == 204
    assert sign_in(browser, user).json()["code"] == "account_suspended"


def test_the_session_cookie_is_out_of_reach_of_scripts(browser, user):
    cookie = sign_in(browser, user).cookies["sessionid"]

    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
