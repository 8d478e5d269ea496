from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection
from rest_framework.test import APIClient

from accounts.services import change_password, suspend_user
from tests.accounts.factories import PASSWORD, make_user

TOKEN, REFRESH, END = "/api/v1/auth/token", "/api/v1/auth/token/refresh", "/api/v1/auth/token/blacklist"


def pair_of(client, user, password=PASSWORD):
    return client.post(TOKEN, {"email": user.email.upper(), "password": password})


def bearer(access):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {access}")
    return client


def test_the_right_password_gives_a_pair_that_opens_the_door(client, user):
    pair = pair_of(client, user).json()

    assert set(pair) == {"access", "refresh"}
    assert bearer(pair["access"]).get("/api/v1/me").json()["email"] == "fan@example.org"
    user.refresh_from_db()
    assert user.last_login is not None


@pytest.mark.parametrize(("email", "password"), [("fan@example.org", "wrong"), ("nobody@example.org", PASSWORD)])
def test_a_wrong_password_and_an_unknown_address_are_answered_alike(client, user, email, password):
    response = client.post(TOKEN, {"email": email, "password": password})

    body = response.json()
    assert response.status_code == 401
    assert (body["code"], body["detail"]) == ("invalid_credentials", "The e-mail address or the password is wrong")
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'


def test_a_closed_account_is_answered_like_an_unknown_one(client, db):
    closed = make_user(is_active=False)

    assert pair_of(client, closed).json()["code"] == "invalid_credentials"


def test_a_refresh_token_renews_once(client, user):
    old = pair_of(client, user).json()

    new = client.post(REFRESH, {"refresh": old["refresh"]})
    again = client.post(REFRESH, {"refresh": old["refresh"]})

    assert bearer(new.json()["access"]).get("/api/v1/me").status_code == 200
    assert (again.status_code, again.json()["code"]) == (401, "not_authenticated")


@pytest.mark.django_db(transaction=True)
def test_of_two_renewals_at_once_one_succeeds(client):
    pair = pair_of(client, make_user()).json()
    barrier = Barrier(2)

    def renew(_):
        barrier.wait()
        try:
            return APIClient().post(REFRESH, {"refresh": pair["refresh"]}).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(renew, range(2))) == [200, 401]


def test_log_out_ends_the_refresh_token_and_may_be_said_twice(client, user):
    pair = pair_of(client, user).json()

    assert [client.post(END, {"refresh": pair["refresh"]}).status_code for _ in range(2)] == [204, 204]
    assert client.post(REFRESH, {"refresh": pair["refresh"]}).status_code == 401


def test_a_changed_password_ends_the_tokens_of_the_old_one(client, user):
    pair = pair_of(client, user).json()

    change_password(user_id=user.pk, present=PASSWORD, new="another long sentence")

    assert bearer(pair["access"]).get("/api/v1/me").status_code == 401
    assert client.post(REFRESH, {"refresh": pair["refresh"]}).status_code == 401
    assert pair_of(client, user, "another long sentence").status_code == 200


def test_an_access_token_renews_nothing(client, user):
    pair = pair_of(client, user).json()

    assert client.post(REFRESH, {"refresh": pair["access"]}).status_code == 401


@pytest.mark.parametrize("forged", ["", "x", "a.b.c", "Bearer"])
def test_a_forged_token_opens_nothing(db, forged):
    response = bearer(forged).get("/api/v1/me")

    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")


def test_a_suspension_counts_at_the_next_request_whatever_the_token_says(client, user):
    pair = pair_of(client, user).json()

    suspend_user(user_id=user.pk, reason="spam")

    refusals = [
        bearer(pair["access"]).get("/api/v1/me"),
        bearer(pair["access"]).get("/api/v1/creators/somebody"),
        client.post(REFRESH, {"refresh": pair["refresh"]}),
        pair_of(client, user),
    ]
    assert [(r.status_code, r.json()["code"]) for r in refusals] == [(403, "account_suspended")] * 4
    assert client.post(END, {"refresh": pair["refresh"]}).status_code == 204


def test_guessing_is_slowed(client, user):
    statuses = [
        client.post(TOKEN, {"email": user.email, "password": f"guess {number}"}).status_code for number in range(11)
    ]

    assert statuses == [401] * 10 + [429]


def test_guessing_at_one_account_from_many_addresses_is_slowed(client, user):
    for number in range(30):
        attempt = client.post(TOKEN, {"email": user.email, "password": "guess"}, REMOTE_ADDR=f"10.0.0.{number}")
        assert attempt.status_code == 401

    refused = client.post(TOKEN, {"email": user.email, "password": PASSWORD}, REMOTE_ADDR="10.0.1.1")
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 0 < int(refused["Retry-After"]) <= 60
