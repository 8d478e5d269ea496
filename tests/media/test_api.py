"""Owners look after their files; nobody else sees them."""

from unittest.mock import patch

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient
from uuid_utils.compat import uuid7

from accounts.models import User
from accounts.services import register
from eventbus.testing import deliver, published
from media import storage
from media.events import MediaDeleted
from media.models.assets import MediaAsset
from media.services.removal import delete_media
from tests.media.conftest import client_of
from tests.media.factories import jpeg, post_created, processed, scanning, upload

pytestmark = pytest.mark.django_db

URL = "/api/v1/media"


def test_an_owner_sees_where_a_file_stands_and_nothing_of_where_it_is(client, creator):
    asset = processed(jpeg(100, 50), owner_id=creator.pk)

    response = client.get(f"{URL}/{asset.pk}")

    body = response.json()
    assert response.status_code == 200
    assert {name: body[name] for name in body if name not in ("created_at", "size_bytes", "variants")} == {
        "id": str(asset.pk),
        "kind": "image",
        "status": "ready",
        "failure_code": None,
        "original_filename": "photo.jpg",
        "detected_mime": "image/jpeg",
        "width": 100,
        "height": 50,
        "duration_ms": None,
        "progress": 100,
        "upload_expires_at": None,
        "upload_refusal": None,
    }
    assert [(each["name"], each["width"], each["height"]) for each in body["variants"]] == [
        ("blur", 32, 16),
        ("thumb_320", 100, 50),
        ("web_1280", 100, 50),
    ]
    assert asset.folder not in response.content.decode()
    assert "signature" not in response.content.decode()


def test_an_owner_learns_why_a_file_was_refused(client, creator):
    asset = processed(jpeg(400, 300)[:600], owner_id=creator.pk)

    body = client.get(f"{URL}/{asset.pk}").json()

    assert (body["status"], body["failure_code"], body["variants"]) == ("rejected", "corrupt", [])


def test_the_list_holds_the_callers_files_newest_first(client, creator):
    mine = [upload(owner_id=creator.pk) for _ in range(3)]
    upload()
    gone = upload(owner_id=creator.pk)
    delete_media(media_id=gone.pk)

    body = client.get(URL).json()

    assert [each["id"] for each in body["results"]] == [str(asset.pk) for asset in reversed(mine)]


def test_the_list_costs_the_same_however_long_it_is(client, creator, django_assert_num_queries):
    for _ in range(2):
        processed(owner_id=creator.pk)
    with django_assert_num_queries(2):
        assert len(client.get(URL).json()["results"]) == 2
    for _ in range(3):
        processed(owner_id=creator.pk)

    with django_assert_num_queries(2):
        assert len(client.get(URL).json()["results"]) == 5


def test_an_owner_deletes_a_file(client, creator, stored_files, django_capture_on_commit_callbacks):
    asset = processed(owner_id=creator.pk)

    with patch("media.tasks.remove_deleted_files.delay") as enqueue, django_capture_on_commit_callbacks(execute=True):
        response = client.delete(f"{URL}/{asset.pk}")

    assert response.status_code == 202
    assert [call.args for call in enqueue.call_args_list] == [(str(asset.pk),)]
    assert len(published(MediaDeleted)) == 1
    assert client.get(f"{URL}/{asset.pk}").status_code == 404
    assert client.delete(f"{URL}/{asset.pk}").status_code == 404


def test_a_file_in_use_is_not_deleted(client, creator):
    asset = processed(owner_id=creator.pk)
    deliver(post_created(uuid7(), [asset]), to="media")

    response = client.delete(f"{URL}/{asset.pk}")

    assert response.status_code == 409
    assert response.json()["code"] == "media_in_use"
    assert published(MediaDeleted) == []
    assert client.get(f"{URL}/{asset.pk}").json()["status"] == "ready"


ROUTES = [("get", ""), ("delete", ""), ("get", "/url?variant=web_1280")]


@pytest.mark.parametrize(("method", "rest"), ROUTES)
def test_what_is_not_yours_is_as_if_it_were_not(client, fan, method, rest):
    foreign = processed(owner_id=fan.pk)

    answers = [getattr(client, method)(f"{URL}/{media_id}{rest}") for media_id in (foreign.pk, uuid7())]

    assert [answer.status_code for answer in answers] == [404, 404]
    first, second = ({**answer.json(), "trace_id": ""} for answer in answers)
    assert first == second
    foreign.refresh_from_db()
    assert foreign.status == MediaAsset.Status.READY


@pytest.mark.parametrize(("method", "rest"), [*ROUTES, ("put", ""), ("patch", ""), ("post", "/url")])
def test_a_stranger_sees_nothing(method, rest):
    asset = processed()

    assert getattr(APIClient(), method)(f"{URL}/{asset.pk}{rest}").status_code == 401
    assert APIClient().get(URL).status_code == 401


def test_an_owner_gets_an_address_that_opens_the_variant(client, creator):
    asset = processed(owner_id=creator.pk)

    response = client.get(f"{URL}/{asset.pk}/url", {"variant": "thumb_320"})

    assert response.status_code == 200
    assert response["Cache-Control"] == "private, no-store"
    assert set(response.json()) == {"url", "expires_at"}
    opened = APIClient().get(response.json()["url"])
    assert b"".join(opened.streaming_content)[8:12] == b"WEBP"


def test_there_is_no_address_of_an_original(client, creator):
    asset = processed(owner_id=creator.pk)

    response = client.get(f"{URL}/{asset.pk}/url", {"variant": "original"})

    assert response.status_code == 400
    assert set(response.json()["errors"]) == {"variant"}


@pytest.mark.parametrize("make", [upload, scanning])
def test_there_is_no_address_before_a_file_is_ready(client, creator, make):
    asset = make(owner_id=creator.pk)

    response = client.get(f"{URL}/{asset.pk}/url", {"variant": "web_1280"})

    assert response.status_code == 409
    assert response.json()["code"] == "media_not_ready"


@pytest.fixture
def staff(db):
    user = register(email="staff@example.org", password="a long enough phrase", display_name="Staff")
    User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)
    return User.objects.get(pk=user.pk)


def signed_in(user):
    client = Client()
    client.force_login(user)
    return client


def test_staff_sees_thumbnails(staff):
    asset = processed()

    page = signed_in(staff).get("/admin/media/mediaasset/").content.decode()
    address = reverse("admin:media_asset_thumbnail", args=[asset.pk])
    response = signed_in(staff).get(address)

    assert address in page
    assert response.status_code == 200
    assert b"".join(response.streaming_content)[8:12] == b"WEBP"


def test_a_thumbnail_whose_bytes_are_lost_is_not_found(staff):
    asset = processed()
    storage.remove(asset.variant_key("thumb_320"))

    response = signed_in(staff).get(reverse("admin:media_asset_thumbnail", args=[asset.pk]))

    assert response.status_code == 404


def test_nobody_else_sees_thumbnails(staff, creator):
    asset = processed(owner_id=creator.pk)
    User.objects.filter(pk=staff.pk).update(is_superuser=False)
    address = reverse("admin:media_asset_thumbnail", args=[asset.pk])

    assert signed_in(User.objects.get(pk=staff.pk)).get(address).status_code == 403
    assert signed_in(creator).get(address).status_code == 302
    assert client_of(creator).get(address).status_code == 302


def test_the_admin_shows_every_table_and_changes_none(staff):
    asset = processed()
    deliver(post_created(uuid7(), [asset]), to="media")
    client = signed_in(staff)

    for model in ("mediaasset", "mediavariant", "mediareference", "postrefstate"):
        assert client.get(f"/admin/media/{model}/").status_code == 200
        assert client.get(f"/admin/media/{model}/?q={asset.pk}").status_code == 200
        assert client.get(f"/admin/media/{model}/add/").status_code == 403
    assert client.get(f"/admin/media/mediaasset/{asset.pk}/change/").status_code == 200
    assert client.post(f"/admin/media/mediaasset/{asset.pk}/change/", {"status": "failed"}).status_code == 403


def test_a_moderator_removes_a_file_whoever_needs_it(staff, django_capture_on_commit_callbacks):
    asset = processed()
    deliver(post_created(uuid7(), [asset]), to="media")

    with patch("media.tasks.remove_deleted_files.delay") as enqueue, django_capture_on_commit_callbacks(execute=True):
        chosen = {"action": "remove", "_selected_action": [str(asset.pk)]}
        signed_in(staff).post("/admin/media/mediaasset/", {**chosen, "confirmed": "yes", "reason": "Stolen picture"})

    asset.refresh_from_db()
    assert asset.status == MediaAsset.Status.DELETED
    assert asset.deletion_reason == MediaAsset.DeletionReason.POLICY
    assert enqueue.call_count == 1
