"""Somebody to act, and clean counters."""

import pytest
from django.core.cache import cache
from rest_framework.test import APIClient

from tests.accounts.factories import PASSWORD, make_creator, make_user


@pytest.fixture(autouse=True)
def _fresh_counters():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def client():
    return APIClient()


@pytest.fixture
def user(db):
    return make_user(email="fan@example.org", display_name="Fan")


@pytest.fixture
def creator(db):
    return make_creator(handle="maker")


@pytest.fixture
def signed_in(client):
    """A client that sends the user's bearer token, got the way everybody gets it."""

    def sign_in(user):
        pair = client.post("/api/v1/auth/token", {"email": user.email, "password": PASSWORD}).json()
        bearer = APIClient()
        bearer.credentials(HTTP_AUTHORIZATION=f"Bearer {pair['access']}")
        return bearer

    return sign_in
