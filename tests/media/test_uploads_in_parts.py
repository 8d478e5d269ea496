"""A large file comes in parts, and goes on where it broke off: the same promises on a disk and on S3."""

import hashlib
from datetime import timedelta
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from botocore.exceptions import ClientError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient
from uuid_utils.compat import uuid4

from eventbus.testing import published
from media import storage
from media.events import MediaUploaded
from media.models.assets import MediaAsset
from media.parts import MOST_PARTS, part_bytes_for, sizes_of_parts
from media.s3 import S3Store
from media.services import direct_uploads
from media.services.removal import drop_stray_parts
from media.tasks import collect_garbage, expire_uploads
from tests.media.conftest import client_of
from tests.media.factories import jpeg
from tests.media.test_direct_uploads import announce, refused, stored
from tests.media.test_direct_uploads import complete as complete_upload

pytestmark = pytest.mark.django_db

PART = 1000
A_WEEK = timedelta(days=7)


@pytest.fixture(autouse=True)
def small_parts(settings, monkeypatch):
    """Small files come in parts, and the stand-in for the service takes small ones."""
    settings.MEDIA_PART_BYTES = PART
    monkeypatch.setattr(S3Store, "least_part_bytes", 1)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)


@pytest.fixture
def content():
    """An image of two whole parts and a piece."""
    content = jpeg()
    return content + bytes(2 * PART + 345 - len(content))


def put(part, content):
    """Put a part's bytes as a browser would: status and tag."""
    start = (part["number"] - 1) * PART
    return put_bytes(part["url"], content[start : start + PART])


def put_bytes(url, data):
    if url.startswith("/"):
        response = APIClient().put(url, data, content_type="application/octet-stream")
        return response.status_code, response.get("ETag")
    response = httpx.put(url, content=data)
    return response.status_code, response.headers.get("ETag")


def upload_of(client, media_id):
    return client.get(f"/api/v1/media/{media_id}/upload")


def complete(client, media_id, *tags):
    parts = [{"number": number, "etag": etag} for number, etag in enumerate(tags, start=1)]
    return complete_upload(client, media_id, **({"parts": parts} if parts else {}))


def unfinished():
    return list(storage.unfinished_older_than(timedelta(0), now=timezone.now() + A_WEEK))


class TestOnEitherStore:
    """What holds wherever the parts go."""

    def test_a_file_comes_in_parts_in_any_order(self, client, keys, content):
        announced = announce(client, content, sha256=hashlib.sha256(content).hexdigest()).json()
        target = announced["upload"]

        answers = {part["number"]: put(part, content) for part in reversed(target["parts"])}
        response = complete(client, announced["id"], *(answers[number][1] for number in (1, 2, 3)))

        asset = MediaAsset.objects.get()
        [event] = published(MediaUploaded)
        assert (target["method"], target["url"], target["fields"], target["received_bytes"]) == ("PUT", None, None, 0)
        assert [(part["number"], part["size"], part["etag"]) for part in target["parts"]] == [
            (1, PART, None),
            (2, PART, None),
            (3, 345, None),
        ]
        assert [status for status, _ in answers.values()] == [200, 200, 200]
        assert (response.status_code, response.json()["status"]) == (202, "uploaded")
        assert stored(asset.storage_key) == content
        assert keys() == [asset.storage_key]
        assert unfinished() == []
        assert (event.media_id, event.size_bytes) == (asset.pk, len(content))
        assert event.sha256 == hashlib.sha256(content).hexdigest()

    def test_after_a_break_only_what_is_missing_is_brought(self, client, store, content):
        announced = announce(client, content).json()
        parts = announced["upload"]["parts"]
        put(parts[0], content)
        _, etag = put(parts[2], content)

        answer = upload_of(client, announced["id"])
        target = answer.json()
        missing = [part for part in target["parts"] if part["etag"] is None]
        put(missing[0], content)

        assert target["received_bytes"] == PART + 345
        assert answer["Cache-Control"] == "private, no-store"
        assert [part["number"] for part in missing] == [2]
        assert target["parts"][2]["etag"] == etag.strip('"')
        assert complete(client, announced["id"]).status_code == 202

    def test_a_file_with_missing_parts_is_not_complete_and_can_still_be(self, client, store, content):
        announced = announce(client, content).json()
        parts = announced["upload"]["parts"]
        put(parts[1], content)

        response = complete(client, announced["id"])

        refused(response, 409, "parts_missing")
        assert response.json()["detail"] == "2 of 3 parts have not come, the first: 1, 3"
        assert client.get(f"/api/v1/media/{announced['id']}").json()["upload_refusal"] == "parts_missing"
        put(parts[0], content)
        put(parts[2], content)
        assert complete(client, announced["id"]).status_code == 202
        assert client.get(f"/api/v1/media/{announced['id']}").json()["upload_refusal"] is None

    def test_another_part_than_the_client_names_is_refused(self, client, store, content):
        announced = announce(client, content).json()
        tags = [put(part, content)[1] for part in announced["upload"]["parts"]]

        for named in (["0" * 32, *tags[1:]], tags[:2], [*tags, "0" * 32]):
            refused(complete(client, announced["id"], *named), 409, "part_mismatch")
        assert complete(client, announced["id"], *tags).status_code == 202

    def test_a_part_that_is_brought_again_takes_the_place_of_the_first(self, client, store, content):
        announced = announce(client, content).json()
        first = put(announced["upload"]["parts"][0], bytes(len(content)))
        tags = [put(part, content)[1] for part in announced["upload"]["parts"]]

        assert first[1] != tags[0]
        refused(complete(client, announced["id"], first[1], *tags[1:]), 409, "part_mismatch")
        assert complete(client, announced["id"], *tags).status_code == 202
        assert stored(MediaAsset.objects.get().storage_key) == content

    @pytest.mark.parametrize(
        ("start", "status", "code"),
        [(b"\xff\xd8\xff\x00", 409, "checksum_mismatch"), (b"<svg", 415, "type_not_allowed")],
    )
    def test_a_refused_file_is_removed_and_begun_anew(self, client, keys, start, status, code):
        right = jpeg() + bytes(2 * PART)
        fields = {"sha256": hashlib.sha256(right).hexdigest()} if status == 409 else {}
        announced = announce(client, right, **fields).json()
        for part in announced["upload"]["parts"]:
            put(part, start + right[4:])

        refused(complete(client, announced["id"]), status, code)

        assert keys() == []
        detail = client.get(f"/api/v1/media/{announced['id']}").json()
        assert (detail["status"], detail["upload_refusal"]) == ("pending_upload", code)
        refused(complete(client, announced["id"]), 409, "parts_missing")
        target = upload_of(client, announced["id"]).json()
        assert target["received_bytes"] == 0
        assert {put(part, right)[0] for part in target["parts"]} == {200}
        assert complete(client, announced["id"]).status_code == 202
        assert keys() == [MediaAsset.objects.get().storage_key]

    def test_after_completion_no_address_takes_anything(self, client, keys, content):
        announced = announce(client, content).json()
        for part in announced["upload"]["parts"]:
            put(part, content)
        complete(client, announced["id"])

        statuses = [put(part, bytes(len(content)))[0] for part in announced["upload"]["parts"]]

        asset = MediaAsset.objects.get()
        assert min(statuses) >= 400
        assert keys() == [asset.storage_key]
        assert stored(asset.storage_key) == content
        refused_again = upload_of(client, announced["id"])
        assert (refused_again.status_code, refused_again.json()["code"]) == (409, "already_uploaded")

    @pytest.mark.parametrize("step", ["take_incoming", "check", "record_arrival"])
    def test_a_request_that_died_on_the_way_is_made_good_by_the_next(self, client, store, content, step):
        announced = announce(client, content).json()
        tags = [put(part, content)[1] for part in announced["upload"]["parts"]]
        with patch.object(direct_uploads, step, side_effect=RuntimeError), pytest.raises(RuntimeError):
            direct_uploads.complete_upload(media_id=announced["id"])
        MediaAsset.objects.update(upload_checked_until=None)

        assert complete(client, announced["id"], *tags).status_code == 202
        assert stored(MediaAsset.objects.get().storage_key) == content
        assert len(published(MediaUploaded)) == 1

    def test_an_upload_that_is_given_up_leaves_no_part(self, client, keys, content):
        announced = announce(client, content).json()
        put(announced["upload"]["parts"][0], content)

        response = client.delete(f"/api/v1/media/{announced['id']}/upload")
        collect_garbage()

        assert response.status_code == 204
        assert keys() == []
        assert unfinished() == []
        assert put(announced["upload"]["parts"][1], content)[0] >= 400
        assert upload_of(client, announced["id"]).json()["code"] == "upload_expired"

    def test_an_upload_that_never_came_leaves_no_part_after_a_day(self, client, keys, content):
        announced = announce(client, content).json()
        put(announced["upload"]["parts"][0], content)
        MediaAsset.objects.update(upload_expires_at=timezone.now())

        assert expire_uploads() == 1
        collect_garbage()

        assert keys() == []
        assert unfinished() == []

    def test_parts_that_no_file_waits_for_go_and_others_stay(self, client, keys, content):
        announced = announce(client, content).json()
        put(announced["upload"]["parts"][0], content)
        asset = MediaAsset.objects.get()
        storage.open_parts(asset.incoming_key)
        storage.open_parts(f"2026/01/{uuid4()}/incoming")
        assert len(unfinished()) == 3

        assert drop_stray_parts(now=timezone.now() + timedelta(hours=25)) == 2

        assert unfinished() == [(asset.incoming_key, asset.multipart_id)]
        assert upload_of(client, announced["id"]).json()["received_bytes"] == PART

    def test_parts_that_cannot_be_dropped_hold_up_no_others(self, store, monkeypatch):
        stuck, other = (f"2026/01/{uuid4()}/incoming" for _ in range(2))
        for key in (stuck, other):
            storage.open_parts(key)
        real = storage.drop_parts

        def drop(key, upload_id):
            if key == stuck:
                raise ClientError({"Error": {"Code": "AccessDenied"}}, "AbortMultipartUpload")
            real(key, upload_id)

        monkeypatch.setattr(storage, "drop_parts", drop)

        assert drop_stray_parts(now=timezone.now() + timedelta(hours=25)) == 1
        assert [key for key, _ in unfinished()] == [stuck]

    def test_an_announcement_that_is_not_recorded_opens_nothing(self, client, store, content):
        with patch("media.views.announce_upload", side_effect=RuntimeError), pytest.raises(RuntimeError):
            announce(client, content)

        assert unfinished() == []

    def test_two_that_begin_anew_at_once_share_one_upload(self, client, store, content):
        announced = announce(client, content).json()
        MediaAsset.objects.update(multipart_id="")
        for key, upload_id in unfinished():
            storage.drop_parts(key, upload_id)
        opened = []

        def overtaken(key):
            mine = real(key)
            opened.append(mine)
            if len(opened) == 1:
                upload_of(client, announced["id"])
            return mine

        real = storage.open_parts
        with patch.object(storage, "open_parts", overtaken):
            response = upload_of(client, announced["id"])

        assert response.status_code == 200
        assert len(opened) == 2
        assert unfinished() == [(MediaAsset.objects.get().incoming_key, opened[1])]

    def test_a_small_file_comes_whole_and_tells_what_has_come(self, client, store):
        small = jpeg()[:500]
        announced = announce(client, small).json()
        storage.store(MediaAsset.objects.get().incoming_key, small)

        target = upload_of(client, announced["id"]).json()

        assert (target["method"], target["parts"], target["received_bytes"]) == ("POST", [], len(small))

    def test_nobody_else_sees_how_an_upload_goes(self, client, fan, store, content):
        announced = announce(client, content).json()

        assert upload_of(client_of(fan), announced["id"]).status_code == 404

    @pytest.mark.django_db(transaction=True)
    def test_no_transaction_waits_for_the_store(self, client, store, content):
        waited = []

        def noted(name):
            real = getattr(storage, name)

            def call(*args, **kwargs):
                waited.append((name, connection.in_atomic_block))
                return real(*args, **kwargs)

            return patch.object(storage, name, call)

        with noted("open_parts"), noted("parts_of"), noted("join_parts"), noted("move"), noted("store"):
            announced = announce(client, content).json()
            for part in announced["upload"]["parts"]:
                put(part, content)
            complete(client, announced["id"])
            direct_post(client)

        assert waited == [(name, False) for name in ("open_parts", "parts_of", "join_parts", "move", "store")]


def direct_post(client):
    body = {"file": SimpleUploadedFile("photo.jpg", jpeg()), "kind": "image"}
    response = client.post("/api/v1/media", body, format="multipart", headers={"Idempotency-Key": str(uuid4())})
    assert response.status_code == 202


@pytest.mark.parametrize("store", ["s3"], indirect=True)
def test_an_address_of_the_service_takes_one_part_of_one_size(client, store, content):
    part = announce(client, content).json()["upload"]["parts"][2]

    query = {name: values[0] for name, values in parse_qs(urlsplit(part["url"]).query).items()}

    assert query["X-Amz-SignedHeaders"] == "content-length;host"
    assert (query["partNumber"], query["uploadId"]) == ("3", MediaAsset.objects.get().multipart_id)
    assert query["X-Amz-Expires"] == "3600"


def test_parts_of_an_upload_that_began_lately_stay(client):
    storage.open_parts(f"2026/01/{uuid4()}/incoming")

    assert drop_stray_parts(now=timezone.now() + timedelta(hours=23)) == 0
    assert len(unfinished()) == 1


@pytest.mark.parametrize("size", [0, 1, 344, 346, 5000])
def test_our_own_route_takes_a_part_of_the_signed_size_only(client, stored_files, content, size):
    announced = announce(client, content).json()

    status, _ = put_bytes(announced["upload"]["parts"][2]["url"], bytes(size))

    assert status == 409
    assert stored_files() == []


def test_our_own_route_takes_only_addresses_that_were_issued(client, stored_files, content, time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    first, second = announce(client, content).json(), announce(client, content).json()
    parts = first["upload"]["parts"]
    path, _, query = parts[0]["url"].partition("?")

    for at in range(len("policy="), len(query)):
        changed = query[:at] + ("A" if query[at] != "A" else "B") + query[at + 1 :]
        assert put_bytes(f"{path}?{changed}", content[:PART])[0] == 403
    for other in (parts[1]["url"], second["upload"]["parts"][0]["url"]):
        assert put_bytes(f"{other.partition('?')[0]}?{query}", content[:PART])[0] == 403
    time_machine.shift(timedelta(seconds=3601))
    assert put_bytes(parts[0]["url"], content[:PART])[0] == 403
    assert stored_files() == []


@pytest.mark.parametrize("parts", [[{"number": 1, "etag": "a"}] * 2, [{"number": 0, "etag": "a"}], [{"number": 1}], 5])
def test_a_list_of_parts_has_its_form(client, content, parts):
    announced = announce(client, content).json()

    response = complete_upload(client, announced["id"], parts=parts)

    refused(response, 400, "validation_error")


@pytest.mark.parametrize(
    ("size", "wanted", "least", "expected"),
    [(1000, 1000, 1, None), (1001, 1000, 1, 1000), (6000, 1000, 5000, 5000), (2_000_001, 1000, 1, 2001)],
)
def test_parts_are_neither_too_small_nor_too_many(size, wanted, least, expected):
    part_bytes = part_bytes_for(size, wanted=wanted, least=least)

    assert part_bytes == expected
    if part_bytes:
        sizes = sizes_of_parts(size, part_bytes=part_bytes)
        assert sum(sizes.values()) == size
        assert list(sizes) == list(range(1, len(sizes) + 1))
        assert len(sizes) <= MOST_PARTS
