import boto3
import pytest
from django.core.cache import cache
from moto.server import ThreadedMotoServer
from rest_framework.test import APIClient
from uuid_utils.compat import uuid4

from accounts.models import User
from accounts.services import become_creator, register
from media import storage


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


@pytest.fixture(scope="session")
def s3_server():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["disk", "s3"])
def store(request, settings, monkeypatch):
    """Each test meets both stores."""
    if request.param == "s3":
        endpoint = request.getfixturevalue("s3_server")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
        settings.MEDIA_S3_BUCKET = f"media-{uuid4().hex}"
        settings.MEDIA_S3_ENDPOINT = endpoint
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(
            Bucket=settings.MEDIA_S3_BUCKET
        )
    yield request.param
    storage.connected.cache_clear()


@pytest.fixture
def keys(store, stored_files):
    """What is in the store now."""

    def list_keys():
        bucket = storage.bucket()
        return stored_files() if bucket is None else [entry["Key"] for entry in bucket.entries("")]

    return list_keys


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
