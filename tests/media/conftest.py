import pytest
from django.core.cache import cache
from rest_framework.test import APIClient

from accounts.models import User
from accounts.services import become_creator, register


@pytest.fixture(autouse=True)
def media_root(settings, tmp_path):
    """A store of one's own for each test."""
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.MEDIA_ROOT.mkdir()
    cache.clear()
    return settings.MEDIA_ROOT


@pytest.fixture
def stored_files(media_root):
    """What is in the store now, as paths relative to it."""

    def list_files() -> list[str]:
        return sorted(str(path.relative_to(media_root)) for path in media_root.rglob("*") if path.is_file())

    return list_files


@pytest.fixture
def fan(db):
    return register(email="fan@example.org", password="a long enough phrase", display_name="Fan")


@pytest.fixture
def creator(db):
    user = register(email="ada@example.org", password="a long enough phrase", display_name="Ada")
    become_creator(user_id=user.pk, handle="ada_draws", default_currency="USD")
    return User.objects.select_related("creator_profile").get(pk=user.pk)


@pytest.fixture
def client(creator):
    """The creator's."""
    return client_of(creator)


def client_of(user):
    client = APIClient()
    client.force_authenticate(user)
    return client
