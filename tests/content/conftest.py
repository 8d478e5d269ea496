"""A creator, a reader, and the events of the other rooms that content lives on."""

from uuid import UUID

import pytest
from django.contrib.auth.models import Group
from rest_framework.test import APIClient
from uuid_utils.compat import uuid7

from accounts.models import CreatorProfile, User
from content.access import Viewer
from tests.content import factories


@pytest.fixture(autouse=True)
def _database(db):
    """Every test here reads and writes."""


@pytest.fixture
def creator_id() -> UUID:
    return uuid7()


@pytest.fixture
def reader() -> Viewer:
    return Viewer(user_id=uuid7())


@pytest.fixture
def stranger() -> Viewer:
    return Viewer(user_id=uuid7())


@pytest.fixture
def creator(creator_id) -> Viewer:
    return Viewer(user_id=creator_id)


@pytest.fixture
def public_post(creator_id):
    return factories.published_post(creator_id, visibility="public")


@pytest.fixture
def subscribers_post(creator_id):
    return factories.published_post(creator_id, visibility="subscribers")


def person(**fields) -> User:
    return User.objects.create_user(f"{uuid7()}@example.org", "a password", display_name="Robin", **fields)


def client_of(user: User | None) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def fan() -> User:
    return person()


@pytest.fixture
def maker() -> User:
    user = person()
    CreatorProfile.objects.create(user=user, handle="maker")
    return User.objects.get(pk=user.pk)


@pytest.fixture
def moderator() -> User:
    user = person()
    user.groups.add(Group.objects.get_or_create(name="moderator")[0])
    return user


@pytest.fixture
def guest_client() -> APIClient:
    return client_of(None)


@pytest.fixture
def fan_client(fan) -> APIClient:
    return client_of(fan)


@pytest.fixture
def maker_client(maker) -> APIClient:
    return client_of(maker)


@pytest.fixture
def moderator_client(moderator) -> APIClient:
    return client_of(moderator)
