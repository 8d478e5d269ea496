"""Real clips of the common formats become variants that play, and what is said of them is true."""

import re
import socket
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from content.models.projections import MediaRef
from eventbus.testing import deliver, published
from media import ffmpeg, storage
from media.containers import MP3, MP4, Container
from media.events import MediaProcessed, ProcessingStatus
from media.exceptions import UnfitMediaError
from media.models.assets import MediaAsset
from tests.media.clip_files import TONE, made, mp3, mp4, pattern, wav
from tests.media.factories import process, scanning

pytestmark = pytest.mark.django_db

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus")
LANDSCAPE = (*pattern(320, 180), *TONE, "-t", "2")

VIDEOS = {
    "video/mp4": lambda: made("mp4", *LANDSCAPE, *X264, "-c:a", "aac"),
    "video/quicktime": lambda: made("mov", *LANDSCAPE, *X264, "-c:a", "aac"),
    "video/webm": lambda: made("webm", *LANDSCAPE, *VP9),
    "video/x-matroska": lambda: made(
        "mkv", *LANDSCAPE, "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-c:a", "flac"
    ),
}
RECORDINGS = {
    "audio/mpeg": lambda: mp3("2"),
    "audio/mp4": lambda: made("m4a", *TONE, "-t", "2", "-c:a", "aac"),
    "audio/flac": lambda: made("flac", *TONE, "-t", "2"),
    "audio/wav": lambda: wav("2"),
    "audio/ogg": lambda: made("ogg", *TONE, "-t", "2", "-c:a", "libopus"),
}


def worked_on(content: bytes, kind: str) -> MediaAsset:
    """A clip that a worker is done with."""
    asset = scanning(content, kind=kind)
    process(media_id=asset.pk)
    asset.refresh_from_db()
    return asset


def file_of(asset: MediaAsset, name: str) -> Path:
    return Path(storage.private_storage.path(asset.variant_key(name)))


def probe(asset: MediaAsset, name: str, container: Container, folder: Path) -> ffmpeg.Measured:
    return ffmpeg.measure(file_of(asset, name), container, folder=folder)


@pytest.mark.parametrize("mime", VIDEOS)
def test_a_video_becomes_what_every_player_plays(mime, tmp_path):
    asset = worked_on(VIDEOS[mime](), "video")

    [event] = published(MediaProcessed)
    assert (event.status, event.failure_code) == (ProcessingStatus.READY, None)
    assert (event.detected_mime, event.width, event.height) == (mime, 320, 180)
    assert abs(event.duration_ms - 2000) < 100
    assert [(each.name, each.mime, each.width, each.height) for each in event.variants] == [
        ("poster", "image/webp", 320, 180),
        ("blur", "image/webp", 32, 18),
        ("preview_15s", "video/mp4", 320, 180),
        ("mp4_480", "video/mp4", 320, 180),
        ("hls", "application/vnd.apple.mpegurl", 320, 180),
    ]
    for name in ("preview_15s", "mp4_480"):
        measured = probe(asset, name, MP4, tmp_path)
        assert [(each.media_type, each.codec) for each in measured.streams.values()] == [
            ("video", "h264"),
            ("audio", "aac"),
        ]
        assert abs(measured.duration_ms - 2000) < 100
    with Image.open(file_of(asset, "poster")) as poster:
        assert (poster.format, poster.size) == ("WEBP", (320, 180))
    assert b64decode(event.placeholder) == file_of(asset, "blur").read_bytes()
    with Image.open(BytesIO(b64decode(event.placeholder))) as placeholder:
        assert (placeholder.format, placeholder.size) == ("WEBP", (32, 18))


@pytest.mark.parametrize("mime", RECORDINGS)
def test_a_recording_becomes_an_mp3_and_a_drawing(mime, tmp_path):
    asset = worked_on(RECORDINGS[mime](), "audio")

    [event] = published(MediaProcessed)
    assert (event.status, event.detected_mime, event.width, event.height) == (ProcessingStatus.READY, mime, None, None)
    assert abs(event.duration_ms - 2000) < 100
    assert [(each.name, each.mime, each.width, each.height) for each in event.variants] == [
        ("mp3_128", "audio/mpeg", None, None),
        ("waveform", "image/webp", 1024, 128),
    ]
    assert event.placeholder is None
    [sound] = probe(asset, "mp3_128", MP3, tmp_path).streams.values()
    assert (sound.media_type, sound.codec) == ("audio", "mp3")
    assert abs(sound.seconds - 2) < 0.1
    with Image.open(file_of(asset, "waveform")) as waveform:
        assert (waveform.format, waveform.size) == ("WEBP", (1024, 128))


def test_the_ladder_ends_at_the_source(tmp_path):
    asset = worked_on(made("mp4", *pattern(1280, 720), *TONE, "-t", "1", *X264, "-c:a", "aac"), "video")

    [event] = published(MediaProcessed)
    sizes = {each.name: (each.width, each.height) for each in event.variants}
    assert sizes["mp4_480"] == (852, 480)
    assert sizes["mp4_720"] == sizes["hls"] == sizes["poster"] == (1280, 720)
    assert "mp4_1080" not in sizes
    assert asset.progress == 100


def test_a_video_held_upright_is_shown_upright(tmp_path):
    plain = tmp_path / "plain.mp4"
    plain.write_bytes(mp4(160, 120))
    turned = made("mp4", "-display_rotation", "90", "-i", str(plain), "-c", "copy")

    worked_on(turned, "video")

    [event] = published(MediaProcessed)
    assert (event.width, event.height) == (120, 160)
    assert {(each.width, each.height) for each in event.variants} == {(120, 160), (24, 32)}


def test_a_video_without_sound_is_one_too():
    asset = worked_on(made("mp4", *pattern(64, 64), "-t", "1", *X264), "video")

    assert asset.status == MediaAsset.Status.READY


def test_a_cover_does_not_make_a_recording_a_video(tmp_path):
    cover, sound = tmp_path / "cover.png", tmp_path / "sound.m4a"
    cover.write_bytes(made("png", *pattern(64, 64), "-frames:v", "1"))
    sound.write_bytes(made("m4a", *TONE, "-t", "1", "-c:a", "aac"))
    inputs = ("-i", str(sound), "-i", str(cover), "-map", "0", "-map", "1")
    content = made("m4a", *inputs, "-c", "copy", "-disposition:v:0", "attached_pic")

    assert worked_on(content, "audio").status == MediaAsset.Status.READY


def test_the_preview_is_the_first_fifteen_seconds(tmp_path):
    still = ("-f", "lavfi", "-i", "color=size=64x64:rate=5")
    asset = worked_on(made("mp4", *still, "-t", "20", *X264), "video")

    assert probe(asset, "preview_15s", MP4, tmp_path).duration_ms == 15_000
    assert probe(asset, "mp4_480", MP4, tmp_path).duration_ms == 20_000


def test_the_playlists_name_what_is_stored_beside_them(stored_files):
    still = ("-f", "lavfi", "-i", "color=size=64x64:rate=5")
    asset = worked_on(made("mp4", *still, "-t", "10", *X264), "video")

    def named(name: str) -> list[str]:
        return re.findall(r"^[^#\n].*$", file_of(asset, name).read_text(), flags=re.MULTILINE)

    segments = ["hls_480_00000.ts", "hls_480_00001.ts", "hls_480_00002.ts"]
    assert named("hls") == ["hls_480.m3u8"]
    assert named("hls_480.m3u8") == segments
    assert {Path(file).name for file in stored_files()} == {
        *("original", "poster", "blur", "preview_15s", "mp4_480", "hls", "hls_480.m3u8"),
        *segments,
    }
    hls = asset.variants.get(name="hls")
    assert hls.size_bytes == sum(file_of(asset, name).stat().st_size for name in ("hls", "hls_480.m3u8", *segments))


def test_content_knows_what_became_of_a_clip():
    asset = worked_on(mp4(), "video")
    [event] = published(MediaProcessed)

    deliver(event)

    known = MediaRef.objects.get(media_id=asset.pk)
    assert (known.kind, known.status, known.width, known.height) == ("video", "ready", 160, 120)
    assert known.duration_ms == event.duration_ms
    assert known.variants == ["poster", "blur", "preview_15s", "mp4_480", "hls"]
    assert known.placeholder == event.placeholder


@pytest.mark.parametrize("demuxer", ["hls", "concat", "dash", "sdp"])
def test_a_demuxer_that_opens_other_files_is_refused_even_if_it_is_asked_for(demuxer, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x.ts"
        source = tmp_path / "source"
        source.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n")

        with pytest.raises(UnfitMediaError, match="whitelist"):
            ffmpeg.measure(source, Container(demuxer, "video/x", None), folder=tmp_path)
        with pytest.raises(BlockingIOError):
            server.accept()
