"""Signed addresses open one variant, for a short time, and nothing else."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone
from rest_framework.test import APIClient
from uuid_utils.compat import uuid7

from api.signed_urls import sign
from media import storage
from media.models.assets import MediaAsset
from media.services.removal import delete_media
from tests.media.factories import processed
from tests.media.test_direct_uploads import stored

pytestmark = pytest.mark.django_db

FIVE_MINUTES = timedelta(minutes=5)


def address(asset, variant="web_1280", ttl=FIVE_MINUTES, viewer_id=None):
    return sign(media_id=asset.pk, variant=variant, viewer_id=viewer_id, ttl=ttl).url


def refused(response, status):
    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    assert b"RIFF" not in response.content


def test_a_signed_address_delivers_the_variant_locked_down():
    asset = processed()

    response = APIClient().get(address(asset, viewer_id=uuid7()))

    content = b"".join(response.streaming_content)
    with storage.open_stored(asset.variant_key("web_1280")) as stream:
        assert content == stream.read()
    assert response.status_code == 200
    assert response["Content-Type"] == "image/webp"
    assert response["Content-Length"] == str(len(content))
    assert response["Cache-Control"] == "private, no-store"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Disposition"] == 'inline; filename="media.webp"'
    assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert "photo" not in str(response.headers)


def test_after_its_time_an_address_opens_nothing(time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    asset = processed()
    url = address(asset)

    time_machine.shift(timedelta(seconds=299))
    assert len(b"".join(APIClient().get(url).streaming_content)) > 0
    time_machine.shift(timedelta(seconds=1))
    refused(APIClient().get(url), 403)


def test_an_address_opens_only_what_it_was_signed_for():
    asset, other = processed(), processed()
    url = address(asset, viewer_id=uuid7())
    path, _, query = url.partition("?")
    expires = query.partition("expires=")[2].partition("&")[0]
    changed = [
        url.replace(str(asset.pk), str(other.pk)),
        url.replace("web_1280", "thumb_320"),
        url.replace("viewer=", "viewer=0"),
        url.replace(f"expires={expires}", f"expires={int(expires) + 1}"),
        url[:-1] + ("a" if url[-1] != "a" else "b"),
        path,
        f"{path}?viewer=anyone&expires={expires}&signature=",
    ]

    for tampered in changed:
        refused(APIClient().get(tampered), 403)


def test_an_address_with_any_one_character_changed_opens_nothing():
    url = address(processed(), viewer_id=uuid7())
    start = url.index("files/") + len("files/")

    for at in range(start, len(url)):
        changed = url[:at] + ("1" if url[at] != "1" else "2") + url[at + 1 :]
        assert APIClient().get(changed).status_code in {403, 404}, changed


@pytest.mark.parametrize("variant", ["original", "web_4096"])
def test_even_a_valid_signature_opens_no_original(variant):
    refused(APIClient().get(address(processed(), variant=variant)), 404)


@pytest.mark.parametrize("rest", ["../original", "..%2foriginal", "web_1280/../../original", "%00"])
def test_no_path_leads_anywhere_else(rest):
    asset = processed()

    response = APIClient().get(f"/api/v1/media/files/{asset.pk}/{rest}")

    assert response.status_code in (403, 404)
    assert b"RIFF" not in response.content


def test_a_deleted_file_is_gone_at_once_even_with_its_bytes_still_there(stored_files):
    asset = processed()
    url = address(asset)

    delete_media(media_id=asset.pk)

    assert stored_files() != []
    refused(APIClient().get(url), 404)


@pytest.mark.parametrize("status", [MediaAsset.Status.SCANNING, MediaAsset.Status.PROCESSING])
def test_nothing_of_a_file_in_work_is_delivered(status):
    asset = processed()
    MediaAsset.objects.filter(pk=asset.pk).update(status=status, next_attempt_at=timezone.now())

    refused(APIClient().get(address(asset)), 404)


def test_a_variant_whose_bytes_are_lost_is_not_found():
    asset = processed()
    storage.remove_folder(asset.folder)

    refused(APIClient().get(address(asset)), 404)


def test_the_store_is_served_under_no_other_address(client, creator):
    asset = processed(owner_id=creator.pk)

    for prefix in ("/media/", "/static/", "/var/media/", "/"):
        assert client.get(prefix + asset.variant_key("web_1280")).status_code == 404
        assert client.get(prefix + asset.storage_key).status_code == 404


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=10-19", slice(10, 20)),
        ("bytes=10-", slice(10, None)),
        ("bytes=10-9999999999999999999", slice(10, None)),
        ("bytes=-5", slice(-5, None)),
        ("bytes=-9999999999999999999", slice(0, None)),
        ("Bytes=3-4", slice(3, 5)),
    ],
)
def test_a_player_gets_the_range_that_it_asks_for(asked, expected):
    asset = processed()
    whole = stored(asset.variant_key("web_1280"))
    span = range(len(whole))[expected]

    response = APIClient().get(address(asset), headers={"range": asked})

    assert response.status_code == 206
    assert b"".join(response.streaming_content) == whole[expected]
    assert response["Content-Range"] == f"bytes {span[0]}-{span[-1]}/{len(whole)}"
    assert response["Content-Length"] == str(len(span))
    assert response["Accept-Ranges"] == "bytes"
    assert response["Cache-Control"] == "private, no-store"
    assert response["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "headers",
    [
        {"range": "bytes=0-1,3-4"},
        {"range": ",".join(["bytes=0-"] + ["0-"] * 500)},
        {"range": "bytes=5-2"},
        {"range": "bytes=-"},
        {"range": "bytes=1-٣"},
        {"range": "bytes=" + "9" * 5000 + "-"},
        {"range": "lines=1-2"},
        {"range": "bytes=0-1", "if-range": '"an answer of somebody else"'},
    ],
)
def test_what_is_not_one_range_is_answered_with_the_whole(headers):
    asset = processed()

    response = APIClient().get(address(asset), headers=headers)

    assert response.status_code == 200
    assert b"".join(response.streaming_content) == stored(asset.variant_key("web_1280"))
    assert "Content-Range" not in response


@pytest.mark.parametrize("asked", ["bytes=1000000-", "bytes=1000000-2000000", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused(asked):
    response = APIClient().get(address(processed()), headers={"range": asked})

    refused(response, 416)
    assert response.json()["code"] == "range_not_satisfiable"


def test_a_head_tells_of_the_whole_file():
    asset = processed()

    response = APIClient().head(address(asset), headers={"range": "bytes=0-1"})

    assert response.status_code == 200
    assert response["Content-Length"] == str(len(stored(asset.variant_key("web_1280"))))
    assert response["Accept-Ranges"] == "bytes"
    response.close()


def test_a_bucket_is_never_asked_for_an_address_of_no_time(store, time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    asset = processed()
    url = address(asset, ttl=timedelta(seconds=300))
    time_machine.shift(timedelta(seconds=299.5))

    response = APIClient().get(url)

    if store == "s3":
        assert parse_qs(urlsplit(response["Location"]).query)["X-Amz-Expires"] == ["1"]
    else:
        assert b"".join(response.streaming_content) == stored(asset.variant_key("web_1280"))
