"""A file is announced, brought straight to the store and taken in: the same promises on a disk and on S3."""

import base64
import hashlib
import json
from datetime import timedelta
from unittest.mock import patch
from uuid import UUID

import httpx
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient
from uuid_utils.compat import uuid4, uuid7

from api.idempotency import REPLAYED_HEADER
from eventbus.testing import published
from media import storage
from media.events import MediaDeleted, MediaUploaded
from media.models.assets import MediaAsset
from media.services import direct_uploads
from media.services.processing import begin_processing
from media.services.removal import sweep_strays
from media.tasks import collect_garbage, expire_uploads
from media.uploads import FORM_OVERHEAD
from tests.media.clip_files import mp4, wav
from tests.media.conftest import client_of
from tests.media.factories import jpeg, processed, upload
from tests.races import at_once, succeed_at_once

pytestmark = pytest.mark.django_db

URL = "/api/v1/media/uploads"


def announce(client, content=b"", key=None, **fields):
    body = {"filename": "photo.jpg", "mime": "image/jpeg", "size": len(content), **fields}
    return client.post(URL, body, format="json", headers={"Idempotency-Key": key or str(uuid4())})


def bring(form, content):
    """Post the form as a browser would; the status."""
    if form["url"].startswith("/"):
        body = {**form["fields"], "file": SimpleUploadedFile("photo.jpg", content)}
        return APIClient().post(form["url"], body, format="multipart").status_code
    return httpx.post(form["url"], data=form["fields"], files={"file": ("photo.jpg", content)}).status_code


def stored(key):
    with storage.open_stored(key) as stream:
        return stream.read()


def complete(client, media_id, key=None, **fields):
    url, headers = f"/api/v1/media/{media_id}/complete", {"Idempotency-Key": key or str(uuid4())}
    return client.post(url, fields, format="json", headers=headers)


def refused(response, status, code):
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert published() == []


def test_a_file_comes_straight_to_the_store(client, creator, keys):
    content = jpeg()

    announced = announce(client, content, sha256=hashlib.sha256(content).hexdigest())
    silent = published()
    status = bring(announced.json()["upload"], content)
    response = complete(client, announced.json()["id"])

    asset = MediaAsset.objects.get()
    [event] = published(MediaUploaded)
    assert (announced.status_code, announced.json()["status"], silent) == (201, "pending_upload", [])
    assert status == 204
    assert (response.status_code, response.json()["status"]) == (202, "uploaded")
    assert keys() == [asset.storage_key]
    assert stored(asset.storage_key) == content
    assert (event.media_id, event.owner_id, event.sequence) == (asset.pk, creator.pk, 1)
    assert (event.size_bytes, event.sha256) == (len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(("kind", "make"), [("video", lambda: mp4(320, 240, "3")), ("audio", lambda: wav(seconds="3"))])
def test_a_clip_comes_the_same_way_and_may_be_larger_than_an_image(client, store, settings, kind, make):
    content = make()
    settings.MEDIA_MAX_IMAGE_BYTES = 1000
    assert len(content) > 1000 + FORM_OVERHEAD

    announced = announce(client, content, kind=kind).json()
    bring(announced["upload"], content)

    assert complete(client, announced["id"]).status_code == 202
    [event] = published(MediaUploaded)
    assert (event.kind, event.size_bytes) == (kind, len(content))


def test_a_file_of_another_kind_than_announced_is_removed(client, keys):
    announced = announce(client, jpeg(), kind="video").json()
    bring(announced["upload"], jpeg())

    refused(complete(client, announced["id"]), 415, "type_not_allowed")
    assert keys() == []


def test_nobody_fills_the_disk_with_what_was_not_announced(creator, client, stored_files):
    announced = announce(client, size=10).json()
    stranger = {"policy": "forged", "file": SimpleUploadedFile("photo.jpg", b"a" * 200_000)}

    with patch("media.uploads.HashingUploadHandler.receive_data_chunk") as receive:
        for url in (announced["upload"]["url"], announced["upload"]["url"].replace(announced["id"], str(uuid7()))):
            stranger["file"].seek(0)
            assert APIClient().post(url, stranger, format="multipart").status_code == 413

    assert receive.call_count == 0
    assert stored_files() == []


def test_the_same_announcement_twice_is_one_file_and_one_form(client, store):
    first, second = (announce(client, jpeg(), key="the-key-of-this-upload") for _ in range(2))

    assert first.json() == second.json()
    assert MediaAsset.objects.count() == 1


def test_completed_twice_is_told_once(client, store):
    announced = announce(client, jpeg()).json()
    bring(announced["upload"], jpeg())

    first, second = complete(client, announced["id"]), complete(client, announced["id"])

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert len(published(MediaUploaded)) == 1


def test_a_completion_is_answered_once_per_key_however_far_the_file_has_come_since(client, store):
    announced = announce(client, jpeg()).json()
    bring(announced["upload"], jpeg())

    first = complete(client, announced["id"], key="the-key-of-its-end")
    begin_processing(media_id=announced["id"])
    again = complete(client, announced["id"], key="the-key-of-its-end")
    under_another = complete(client, announced["id"])

    assert (first.status_code, first.has_header(REPLAYED_HEADER)) == (202, False)
    assert (again.status_code, again[REPLAYED_HEADER], again.json()) == (202, "true", first.json())
    assert (under_another.status_code, under_another.json()["status"]) == (202, "scanning")
    assert len(published(MediaUploaded)) == 1


def test_a_completion_without_a_key_or_with_another_ones_key_checks_nothing(client, store, keys):
    mine, other = announce(client, jpeg()).json(), announce(client, jpeg()).json()
    for announced in (mine, other):
        bring(announced["upload"], jpeg())
    brought = keys()

    refused(client.post(f"/api/v1/media/{mine['id']}/complete"), 400, "idempotency_key_required")
    refused(complete(client, mine["id"], key="short"), 400, "idempotency_key_malformed")
    assert keys() == brought
    assert complete(client, mine["id"], key="the-key-of-its-end").status_code == 202
    named = complete(client, other["id"], key="the-key-of-its-end")

    assert (named.status_code, named.json()["code"]) == (422, "idempotency_key_reused")
    assert MediaAsset.objects.get(pk=other["id"]).is_pending
    assert [event.media_id for event in published(MediaUploaded)] == [UUID(mine["id"])]


def test_a_refused_completion_leaves_its_key_free(client, keys):
    announced = announce(client, jpeg()).json()

    refused(complete(client, announced["id"], key="the-key-of-its-end"), 409, "not_uploaded")
    bring(announced["upload"], jpeg())

    assert complete(client, announced["id"], key="the-key-of-its-end").status_code == 202


@pytest.mark.django_db(transaction=True)
def test_ten_completions_at_once_check_once_and_answer_alike(creator, client, store):
    announced = announce(client, jpeg()).json()
    bring(announced["upload"], jpeg())

    with patch.object(direct_uploads, "compare", wraps=direct_uploads.compare) as compare:
        responses = at_once(*[lambda: complete(client_of(creator), announced["id"], key="the-key-of-its-end")] * 10)
        last = complete(client, announced["id"], key="the-key-of-its-end")

    answered = [response.json() for response in responses if response.status_code == 202]
    waiting = [response.json()["code"] for response in responses if response.status_code != 202]
    assert answered == [last.json()] * len(answered) != []
    assert waiting == ["idempotency_in_progress"] * (10 - len(answered))
    assert compare.call_count == 1
    assert len(published(MediaUploaded)) == 1


@pytest.mark.django_db(transaction=True)
def test_a_completion_whose_answer_was_not_kept_is_answered_by_the_next(creator, client, store):
    announced = announce(client, jpeg()).json()
    bring(announced["upload"], jpeg())
    with patch("api.idempotency.store", side_effect=RuntimeError), pytest.raises(RuntimeError):
        complete(client, announced["id"], key="the-key-of-its-end")

    response = complete(client, announced["id"], key="the-key-of-its-end")

    assert (response.status_code, response.json()["status"]) == (202, "uploaded")
    assert len(published(MediaUploaded)) == 1


def test_what_has_not_come_is_not_complete(client, keys):
    announced = announce(client, jpeg()).json()

    refused(complete(client, announced["id"]), 409, "not_uploaded")
    bring(announced["upload"], jpeg())
    assert complete(client, announced["id"]).status_code == 202


@pytest.mark.parametrize(
    ("brought", "fields", "refusal"),
    [
        (b"\xff\xd8\xff" + b"a" * 50, {"size": 53, "sha256": "0" * 64}, (409, "checksum_mismatch")),
        (b"<svg/>", {"size": 6}, (415, "type_not_allowed")),
    ],
)
def test_what_was_not_announced_is_removed_and_may_be_brought_again(client, keys, brought, fields, refusal):
    announced = announce(client, **fields).json()
    bring(announced["upload"], brought)

    refused(complete(client, announced["id"]), *refusal)

    assert keys() == []
    assert client.get(f"/api/v1/media/{announced['id']}").json()["status"] == "pending_upload"
    refused(complete(client, announced["id"]), 409, "not_uploaded")


def test_a_larger_file_than_announced_is_found_out_even_if_the_store_took_it(client, keys):
    content = jpeg()
    announced = announce(client, size=len(content) - 1).json()
    asset = MediaAsset.objects.get()
    storage.store(asset.incoming_key, content)

    refused(complete(client, announced["id"]), 409, "size_mismatch")
    assert keys() == []


def test_an_upload_of_no_bytes_is_not_taken_in(client, keys):
    announced = announce(client, jpeg()).json()
    storage.store(MediaAsset.objects.get().incoming_key, b"")

    refused(complete(client, announced["id"]), 409, "size_mismatch")
    assert keys() == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("a\r\nSet-Cookie: x.jpg", "aSet-Cookie: x.jpg"),
        ("x" * 9_996 + ".jpg", "x" * 255),
    ],
)
def test_an_announced_name_is_for_show_and_no_part_of_any_address_or_key(client, keys, name, shown):
    announced = announce(client, jpeg(), filename=name).json()
    bring(announced["upload"], jpeg())
    complete(client, announced["id"])

    asset = MediaAsset.objects.get()
    assert asset.original_filename == shown
    assert keys() == [f"{asset.created_at:%Y/%m}/{asset.pk}/original"]
    assert shown not in json.dumps(announced["upload"])


def test_the_form_says_how_many_bytes_the_store_may_take(client, store, keys):
    form = announce(client, size=100).json()["upload"]

    if store == "disk":
        assert bring(form, b"a" * 101) == 413
        assert keys() == []
    else:  # enforced by the service; the stand-in of the tests only keeps it
        policy = json.loads(base64.b64decode(form["fields"]["policy"]))
        assert ["content-length-range", 1, 100] in policy["conditions"]
        assert {"key": MediaAsset.objects.get().incoming_key} in policy["conditions"]


def test_what_is_brought_after_the_check_changes_nothing(client, keys):
    content = jpeg()
    announced = announce(client, content).json()
    bring(announced["upload"], content)
    complete(client, announced["id"])

    bring(announced["upload"], b"\xff\xd8\xffother")

    assert stored(MediaAsset.objects.get().storage_key) == content


def test_a_request_that_died_after_moving_the_file_is_made_good_by_the_next(client, store):
    content = jpeg()
    announced = announce(client, content).json()
    bring(announced["upload"], content)
    with (
        patch.object(direct_uploads, "record_arrival", side_effect=RuntimeError),
        pytest.raises(RuntimeError),
    ):
        direct_uploads.complete_upload(media_id=announced["id"])
    MediaAsset.objects.update(upload_checked_until=None)

    assert complete(client, announced["id"]).status_code == 202
    assert len(published(MediaUploaded)) == 1


def test_two_requests_do_not_check_at_once(client, store):
    announced = announce(client, jpeg()).json()
    bring(announced["upload"], jpeg())
    direct_uploads.claim_check(media_id=announced["id"])

    refused(complete(client, announced["id"]), 409, "upload_busy")


def test_an_upload_that_is_given_up_leaves_nothing(client, keys):
    announced = announce(client, jpeg()).json()
    bring(announced["upload"], jpeg())

    response = client.delete(f"/api/v1/media/{announced['id']}/upload")
    collect_garbage()

    assert response.status_code == 204
    assert keys() == []
    refused(complete(client, announced["id"]), 410, "upload_expired")
    assert client.get(f"/api/v1/media/{announced['id']}").json()["status"] == "expired"


def test_deleting_a_file_that_never_came_tells_nobody(client, store):
    announced = announce(client, jpeg()).json()

    assert client.delete(f"/api/v1/media/{announced['id']}").status_code == 202
    assert published(MediaDeleted) == []
    assert MediaAsset.objects.get().status == MediaAsset.Status.EXPIRED


def test_an_upload_that_never_came_runs_out_after_a_day(client, keys, time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    announced = announce(client, jpeg()).json()
    storage.store(MediaAsset.objects.get().incoming_key, jpeg())

    time_machine.shift(timedelta(hours=23, minutes=59))
    early = expire_uploads()
    time_machine.shift(timedelta(minutes=1))
    refused(complete(client, announced["id"]), 410, "upload_expired")
    in_time = expire_uploads()
    collect_garbage()

    assert (early, in_time, expire_uploads()) == (0, 1, 0)
    assert keys() == []
    assert published() == []


def test_a_folder_that_nobody_owns_goes(client, creator, keys):
    kept = processed(owner_id=creator.pk)
    pending = announce(client, jpeg()).json()
    bring(pending["upload"], jpeg())
    stray = f"2026/01/{uuid7()}/original"
    storage.store(stray, jpeg())
    assert sweep_strays(now=kept.created_at + timedelta(hours=23)) == 0

    assert sweep_strays(now=kept.created_at + timedelta(hours=25)) == 1

    rows = [kept.storage_key, *(variant.storage_key for variant in kept.variants.all())]
    incoming = MediaAsset.objects.get(pk=pending["id"]).incoming_key
    assert keys() == sorted([*rows, incoming])


@pytest.mark.django_db(transaction=True)
def test_two_collectors_leave_each_row_its_bytes_and_no_others(store, keys, settings):
    kept = processed()
    settings.MEDIA_UNUSED_GRACE_SECONDS = 0
    gone = [upload() for _ in range(3)]

    succeed_at_once(collect_garbage, collect_garbage)
    collect_garbage()

    assert sorted(event.media_id for event in published(MediaDeleted)) == sorted(asset.pk for asset in gone)
    assert keys() == sorted([kept.storage_key, *(variant.storage_key for variant in kept.variants.all())])


def test_a_signed_address_leads_to_the_bytes_of_either_store(client, creator, store):
    asset = processed(owner_id=creator.pk)
    signed = client.get(f"/api/v1/media/{asset.pk}/url", {"variant": "web_1280"}).json()["url"]

    response = APIClient().get(signed)

    assert response["Cache-Control"] == "private, no-store"
    if store == "disk":
        assert b"".join(response.streaming_content)[:4] == b"RIFF"
        return
    assert response.status_code == 302
    delivered = httpx.get(response["Location"])
    assert delivered.content == stored(asset.variant_key("web_1280"))
    assert delivered.headers["Content-Type"] == "image/webp"
    assert delivered.headers["Content-Disposition"] == 'inline; filename="media.webp"'
    assert delivered.headers["Cache-Control"] == "private, no-store"


def test_announced_files_count_against_the_quota(client, settings, store):
    settings.MEDIA_MAX_IN_FLIGHT = 1
    announce(client, jpeg())

    refused(announce(client, jpeg()), 403, "quota_exceeded")
    assert MediaAsset.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"size": 0}, 422, "size_out_of_range"),
        ({"size": 26 * 1024 * 1024}, 413, "payload_too_large"),
        ({"size": 5, "kind": "html"}, 415, "type_not_allowed"),
        ({"size": 5, "sha256": "x"}, 400, "validation_error"),
        ({"size": 5, "storage_key": "x"}, 400, "validation_error"),
    ],
)
def test_what_may_not_come_is_not_awaited(client, fields, status, code):
    refused(announce(client, **fields), status, code)
    assert not MediaAsset.objects.exists()


def test_strangers_and_fans_announce_nothing(fan):
    refused(announce(APIClient(), jpeg()), 401, "not_authenticated")
    refused(announce(client_of(fan), jpeg()), 403, "permission_denied")


def test_another_owner_sees_no_upload(client, fan):
    media_id = announce(client, jpeg()).json()["id"]

    assert complete(client_of(fan), media_id).status_code == 404
    assert client_of(fan).delete(f"/api/v1/media/{media_id}/upload").status_code == 404


def test_our_own_route_takes_only_the_form_that_was_issued(client, stored_files, time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    first, second = announce(client, jpeg()).json(), announce(client, jpeg()).json()
    form = first["upload"]
    policy = form["fields"]["policy"]

    for at in range(len(policy)):
        changed = policy[:at] + ("A" if policy[at] != "A" else "B") + policy[at + 1 :]
        assert bring({**form, "fields": {"policy": changed}}, jpeg()) == 403
    assert bring({**form, "url": second["upload"]["url"]}, jpeg()) == 403
    time_machine.shift(timedelta(seconds=3601))
    assert bring(form, jpeg()) == 403
    assert stored_files() == []
