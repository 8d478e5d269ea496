"""A player follows a playlist from one signed address to its segments, and nobody else gets anywhere from it."""

from datetime import timedelta

import pytest
from rest_framework.test import APIClient
from uuid_utils.compat import uuid7

from api.signed_urls import sign
from media import delivery
from media.models.assets import MediaAsset
from tests.media.clip_files import mp4
from tests.media.factories import scanning
from tests.media.test_clips import file_of, worked_on

pytestmark = pytest.mark.django_db

FIVE_MINUTES = timedelta(minutes=5)


@pytest.fixture
def video() -> MediaAsset:
    return worked_on(mp4(320, 240, "2"), "video")


def address(asset, variant="hls", viewer_id=None):
    return sign(media_id=asset.pk, variant=variant, viewer_id=viewer_id, ttl=FIVE_MINUTES).url


def named_in(playlist):
    return [line for line in playlist.content.decode().splitlines() if line and not line.startswith("#")]


def body(answer):
    """All of it; what nobody reads would stay open."""
    return b"".join(answer.streaming_content)


def test_a_player_gets_from_the_address_to_every_byte(video):
    client = APIClient()

    whole = client.get(address(video, viewer_id=uuid7()))
    [rung_address] = named_in(whole)
    rung = client.get(rung_address)
    segments = [client.get(segment) for segment in named_in(rung)]

    assert [answer["Content-Type"] for answer in (whole, rung)] == ["application/vnd.apple.mpegurl"] * 2
    assert whole["Content-Disposition"] == 'inline; filename="media.m3u8"'
    assert whole["Cache-Control"] == "private, no-store"
    assert {(answer.status_code, answer["Content-Type"]) for answer in segments} == {(200, "video/mp2t")}
    assert body(segments[0]) == file_of(video, "hls_480_00000.ts").read_bytes()
    assert all(len(body(segment)) > 0 for segment in segments[1:])
    assert b"#EXT-X-ENDLIST" in rung.content


def test_the_addresses_in_a_playlist_are_for_its_reader_and_end_with_it(video, time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    viewer = uuid7()
    [rung] = named_in(APIClient().get(address(video, viewer_id=viewer)))

    assert f"viewer={viewer}" in rung
    time_machine.shift(timedelta(seconds=299))
    assert APIClient().get(rung).status_code == 200
    assert APIClient().get(rung.replace("hls_480", "hls_480_00000")).status_code == 403
    time_machine.shift(timedelta(seconds=1))
    assert APIClient().get(rung).status_code == 403


@pytest.mark.parametrize("name", ["hls_1080", "hls_480_99999"])
def test_a_part_that_is_not_there_is_not_found(video, name):
    assert APIClient().get(address(video, variant=name)).status_code == 404


def test_parts_go_with_their_video(video):
    MediaAsset.objects.filter(pk=video.pk).update(
        status=MediaAsset.Status.PROCESSING, next_attempt_at="2026-01-01T00:00Z"
    )

    assert APIClient().get(address(video, variant="hls_480")).status_code == 404


def test_a_file_without_a_playlist_has_no_parts():
    assert delivery.file_to_deliver(media_id=scanning().pk, name="hls_480") is None


@pytest.mark.parametrize("line", ["original", "../original", "http://127.0.0.1/x.ts", "hls_480_00000/../original"])
def test_a_line_that_we_did_not_write_gets_no_address(line):
    with pytest.raises(ValueError, match="no part of a playlist of ours"):
        delivery.with_addresses(f"#EXTM3U\n{line}\n", lambda part: part)


def test_an_mp4_is_named_as_one(video):
    answer = APIClient().get(address(video, variant="mp4_480"))

    assert answer["Content-Disposition"] == 'inline; filename="media.mp4"'
    assert body(answer) == file_of(video, "mp4_480").read_bytes()
