"""A creator brings a file."""

import hashlib
from unittest.mock import patch

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient
from uuid_utils.compat import uuid4

from eventbus.testing import published
from media.events import MediaKind, MediaUploaded
from media.models.assets import MediaAsset
from tests.media.factories import gif, jpeg, upload

pytestmark = pytest.mark.django_db

URL = "/api/v1/media"


def send(client, content=None, *, name="photo.jpg", mime="image/jpeg", key=None, **fields):
    file = SimpleUploadedFile(name, jpeg() if content is None else content, content_type=mime)
    return client.post(
        URL, {"file": file, **fields}, format="multipart", headers={"Idempotency-Key": key or str(uuid4())}
    )


def test_an_image_is_kept_and_everybody_hears_of_it(client, creator, stored_files):
    content = jpeg()

    response = send(client, content, kind="image")

    asset = MediaAsset.objects.get()
    [event] = published(MediaUploaded)
    assert response.status_code == 202
    assert response.json()["id"] == str(asset.pk)
    assert response.json()["status"] == "uploaded"
    assert stored_files() == [asset.storage_key]
    assert asset.owner_id == creator.pk
    assert asset.original_filename == "photo.jpg"
    assert event.media_id == asset.pk
    assert event.owner_id == creator.pk
    assert event.kind is MediaKind.IMAGE
    assert event.declared_mime == "image/jpeg"
    assert event.size_bytes == len(content)
    assert event.sha256 == hashlib.sha256(content).hexdigest()
    assert event.storage_ref == asset.storage_key
    assert event.sequence == 1


def test_the_stored_bytes_are_those_that_came_and_nobody_else_may_read_them(client, media_root):
    content = jpeg(400, 300)

    send(client, content)

    path = media_root / MediaAsset.objects.get().storage_key
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_the_same_key_again_is_one_upload(client, stored_files):
    first = send(client, key="the-key-of-this-upload")
    second = send(client, key="the-key-of-this-upload")

    assert second.json() == first.json()
    assert second["Idempotent-Replayed"] == "true"
    assert MediaAsset.objects.count() == len(published(MediaUploaded)) == len(stored_files()) == 1


def test_the_same_key_with_another_file_of_the_same_name_is_refused(client, stored_files):
    send(client, jpeg(60, 40), key="the-key-of-this-upload")

    response = send(client, jpeg(61, 40), key="the-key-of-this-upload")

    assert response.status_code == 422
    assert response.json()["code"] == "idempotency_key_reused"
    assert MediaAsset.objects.count() == len(stored_files()) == 1


def refused(response, status, code, stored_files):
    assert response.status_code == status
    assert response.json()["code"] == code
    assert not MediaAsset.objects.exists()
    assert published() == []
    assert stored_files() == []


def test_without_a_key_nothing_is_kept(client, stored_files):
    file = SimpleUploadedFile("photo.jpg", jpeg(), content_type="image/jpeg")

    refused(client.post(URL, {"file": file}, format="multipart"), 400, "idempotency_key_required", stored_files)


def test_a_stranger_brings_nothing(stored_files):
    refused(send(APIClient()), 401, "not_authenticated", stored_files)


def test_a_fan_brings_nothing(fan, stored_files):
    client = APIClient()
    client.force_authenticate(fan)

    refused(send(client), 403, "permission_denied", stored_files)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("photo.jpg", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'),
        ("photo.jpg", b"<!doctype html><script>alert(1)</script>"),
        ("photo.jpg.php", b"<?php system($_GET['c']); ?>"),
        ("photo.png", b"%PDF-1.7\n"),
        ("photo.gif", b"#EXTM3U\n"),
    ],
)
def test_a_type_that_is_not_taken_is_refused_whatever_it_calls_itself(client, stored_files, name, content):
    refused(send(client, content, name=name), 415, "type_not_allowed", stored_files)


@pytest.mark.parametrize("kind", ["video", "audio", "IMAGE", "html"])
def test_a_kind_that_is_not_taken_is_refused(client, stored_files, kind):
    refused(send(client, kind=kind), 415, "type_not_allowed", stored_files)


def test_a_lying_extension_does_not_matter_when_the_bytes_are_an_image(client):
    response = send(client, gif(1), name="notes.txt", mime="text/plain")

    assert response.status_code == 202
    assert MediaAsset.objects.get().declared_mime == "text/plain"


def test_an_empty_file_is_refused(client, stored_files):
    refused(send(client, b""), 422, "size_out_of_range", stored_files)


def test_a_file_that_announces_itself_as_too_large_is_not_even_read(client, stored_files, settings):
    settings.MEDIA_MAX_IMAGE_BYTES = 1000

    with patch("media.uploads.HashingUploadHandler.receive_data_chunk") as receive:
        refused(send(client, jpeg() + b"\0" * 100_000), 413, "payload_too_large", stored_files)

    assert receive.call_count == 0


def test_a_file_is_cut_off_at_its_first_byte_too_many(client, stored_files, settings):
    settings.MEDIA_MAX_IMAGE_BYTES = 1000

    refused(send(client, jpeg().ljust(1001, b"\0")), 413, "payload_too_large", stored_files)
    assert send(client, jpeg().ljust(1000, b"\0")).status_code == 202


def test_a_form_without_a_file_is_refused(client, stored_files):
    response = client.post(URL, {"kind": "image"}, format="multipart", headers={"Idempotency-Key": str(uuid4())})

    refused(response, 400, "validation_error", stored_files)
    assert set(response.json()["errors"]) == {"file"}


@pytest.mark.parametrize("field", ["owner_id", "status", "storage_key", "id"])
def test_nobody_writes_what_is_not_theirs_to_say(client, stored_files, field):
    response = send(client, **{field: "x"})

    refused(response, 400, "validation_error", stored_files)
    assert set(response.json()["errors"]) == {field}


def test_json_is_no_way_to_bring_a_file(client, stored_files):
    response = client.post(URL, {"file": "x"}, format="json", headers={"Idempotency-Key": str(uuid4())})

    refused(response, 415, "unsupported_media_type", stored_files)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("a\r\nSet-Cookie: x.jpg", "aSet-Cookie: x.jpg"),
        ("\x00.jpg", ".jpg"),
        ("e\u0301te\u0301.jpg", "\xe9t\xe9.jpg"),
        ("x" * 10_000 + ".jpg", "x" * 255),
        ("", ""),
    ],
)
def test_a_name_is_for_show_and_never_a_path(name, shown, stored_files):
    asset = upload(filename=name)

    assert asset.original_filename == shown
    assert stored_files() == [f"{asset.created_at:%Y/%m}/{asset.pk}/original"]


@pytest.mark.parametrize(
    ("declared", "kept"),
    [
        ("image/png", "image/png"),
        ("IMAGE/PNG; charset=x", "image/png"),
        ("image/png\r\nX: y", "application/octet-stream"),
        ("", "application/octet-stream"),
        ("image/" + "x" * 200, "application/octet-stream"),
    ],
)
def test_a_declared_type_is_kept_only_if_it_is_one(declared, kept):
    assert upload(declared_mime=declared).declared_mime == kept


def test_a_row_that_cannot_be_written_leaves_no_file(stored_files):
    with patch("media.services.uploads.publish", side_effect=RuntimeError), pytest.raises(RuntimeError):
        upload()

    assert stored_files() == []
    assert not MediaAsset.objects.exists()


def test_a_disk_that_fails_leaves_no_row_and_no_half_of_a_file(stored_files):
    with patch("media.storage.os.fsync", side_effect=OSError("no space left")), pytest.raises(OSError, match="space"):
        upload()

    assert stored_files() == []
    assert not MediaAsset.objects.exists()
    assert published() == []


def test_an_owner_has_so_many_bytes_a_day(client, creator, settings, stored_files):
    content = jpeg()
    settings.MEDIA_DAILY_BYTES = len(content) * 2 - 1
    upload(content, owner_id=creator.pk)
    upload(content)

    response = send(client, content)

    assert response.status_code == 403
    assert response.json()["code"] == "quota_exceeded"
    assert MediaAsset.objects.of(creator.pk).count() == 1
    assert len(stored_files()) == 2


def test_yesterdays_bytes_do_not_count(client, creator, settings, time_machine):
    content = jpeg()
    settings.MEDIA_DAILY_BYTES = len(content)
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    upload(content, owner_id=creator.pk)
    time_machine.move_to("2026-05-02T12:00:00Z", tick=False)

    assert send(client, content).status_code == 202


def test_an_owner_has_so_many_files_waiting(client, creator, settings):
    settings.MEDIA_MAX_IN_FLIGHT = 1
    upload(owner_id=creator.pk)

    response = send(client)

    assert response.status_code == 403
    assert response.json()["code"] == "quota_exceeded"
    assert MediaAsset.objects.count() == 1


def test_uploads_are_counted(client, settings):
    settings.REST_FRAMEWORK = {
        **settings.REST_FRAMEWORK,
        "DEFAULT_THROTTLE_RATES": {**settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"], "uploads": "1/hour"},
    }

    first, second = send(client), send(client)

    assert (first.status_code, second.status_code) == (202, 429)
    assert MediaAsset.objects.count() == 1
