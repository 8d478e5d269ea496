"""A creator, a reader, and the events of the other rooms that content lives on."""

from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

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
