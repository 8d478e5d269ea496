import pytest
from django.core.cache import cache

from tests.accounts.factories import make_user


@pytest.fixture(autouse=True)
def _own_store(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.MEDIA_ROOT.mkdir()
    cache.clear()


@pytest.fixture
def operator(db):
    return make_user(email="operator@example.org", is_staff=True, is_superuser=True)


@pytest.fixture
def office(client, operator):
    """The admin as a superuser sees it."""
    client.force_login(operator)
    return client


@pytest.fixture
def newcomer(db):
    """Staff whom nobody has given a permission yet."""
    return make_user(email="newcomer@example.org", is_staff=True)
