"""A fan with a card, a creator with a post, and background work that runs when a test says so."""

from uuid import uuid4

import pytest
from django.core.cache import cache
from rest_framework.test import APIClient

import payments.tasks  # noqa: F401 - a task that nobody imported cannot run where it is sent
from config.celery import app
from tests.accounts.factories import make_creator, make_user
from tests.payments import factories


@pytest.fixture(autouse=True)
def _fresh_counters():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def eager():
    """Tasks run where they are sent."""
    app.conf.task_always_eager = True
    app.conf.task_eager_propagates = True
    yield
    app.conf.task_always_eager = False
    app.conf.task_eager_propagates = False


@pytest.fixture
def background(eager, django_capture_on_commit_callbacks):
    """`with background():` lets everything run that the block asked for after its commit."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


@pytest.fixture
def fan(db):
    return make_user()


@pytest.fixture
def creator(db):
    return make_creator()


@pytest.fixture
def method(fan):
    return factories.make_method(fan.id)


@pytest.fixture
def offer(creator):
    return factories.make_offer(creator.id)


@pytest.fixture
def as_user():
    """A client that acts as this user."""

    def client_of(user):
        client = APIClient()
        client.force_authenticate(user)
        return client

    return client_of


@pytest.fixture
def key():
    """The headers of a new money POST."""
    return lambda: {"Idempotency-Key": uuid4().hex}
