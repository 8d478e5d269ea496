"""A client for the probe views, somebody to act, and clean counters."""

import pytest
from django.core.cache import caches
from rest_framework.test import APIClient

from tests.accounts.factories import make_user


@pytest.fixture(autouse=True)
def _fresh_counters():
    clear_counters()
    yield
    clear_counters()


def clear_counters():
    for cache in caches.all():
        cache.clear()


@pytest.fixture
def client():
    return APIClient(raise_request_exception=False)


@pytest.fixture
def user(db):
    return make_user()


@pytest.fixture
def me(user):
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(user)
    return client
