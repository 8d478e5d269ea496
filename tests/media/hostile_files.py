"""Files that mean harm: each with what must become of it. None is stored; all are made here."""

import io
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from imageio_ffmpeg import get_ffmpeg_exe
from PIL import Image

from tests.media.clip_files import TONE, box, made, mp3, mp4, pattern, wav, without_box
from tests.media.factories import MARK, colour_profile, encoded, exif, gif, jpeg, picture, png_chunk, png_claiming

SCRIPT = b"<script>alert('" + MARK + b"')</script>"
READY = "ready"


@dataclass(frozen=True)
class Hostile:
    """A file as it is uploaded, and the answer: `ready`, or the code of the refusal."""

    name: str
    kind: str
    make: Callable[[], bytes]
    answer: str

    def __str__(self) -> str:
        return self.name


def taken_in_berlin(suffix: str, *arguments: str) -> bytes:
    """A clip as a telephone writes it: its container names the place, in front of the mark."""
    place = ("-metadata", f"location=+52.5200+013.4050/{MARK.decode()}")
    content = made(suffix, *pattern(160, 120), "-t", "1", "-c:v", "libx264", "-preset", "ultrafast", *place, *arguments)
    assert b"+52.5200+013.4050/" + MARK in content
    return content


def zip_file() -> bytes:
    """An archive that holds the mark."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("payload.txt", MARK)
    return stream.getvalue()


def png_with(*chunks: bytes) -> bytes:
    """A sound picture with more chunks behind its header."""
    content = encoded(picture(), "PNG")
    return content[:33] + b"".join(chunks) + content[33:]


def gif_claiming(width: int, height: int) -> bytes:
    """A GIF whose screen is of this size."""
    content = gif(1)
    return content[:6] + struct.pack("<HH", width, height) + content[10:]


def gif_with_a_huge_frame() -> bytes:
    """A small screen, and a frame that says it is a thousand times as large."""
    content = gif(1)
    start = content.index(b"\x2c")
    return content[: start + 5] + struct.pack("<HH", 65535, 65535) + content[start + 9 :]


def webp_claiming(side: int) -> bytes:
    """An extended WebP whose canvas is of this size."""
    size = (side - 1).to_bytes(3, "little") * 2
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + size + encoded(picture(), "WEBP")[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg_claiming(width: int, height: int) -> bytes:
    """A photograph whose frame header is of this size."""
    content = jpeg()
    start = content.index(b"\xff\xc0") + 5
    return content[:start] + struct.pack(">HH", height, width) + content[start + 4 :]


def jpeg_segment(marker: int, data: bytes) -> bytes:
    """A segment behind a JPEG's first bytes."""
    content = jpeg()
    return content[:2] + struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data + content[2:]


def many_segments(marker: int) -> bytes:
    """A JPEG with 300 full segments of metadata."""
    content = jpeg()
    segment = struct.pack(">BBH", 0xFF, marker, 65535) + MARK + b"\0" * (65533 - len(MARK))
    return content[:2] + segment * 300 + content[2:]


def real_png_bomb() -> bytes:
    """Forty thousand kilobytes of black in forty: within the limit of pixels, and truly there."""
    row = b"\0" + b"\0" * 6300 * 3
    header = struct.pack(">IIBBBBB", 6300, 6300, 8, 2, 0, 0, 0)
    packed = zlib.compress(row * 6300, 9)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")


def gif_of_many_frames() -> bytes:
    """A hundred thousand frames."""
    one = gif(1)
    start = one.index(b"\x2c")
    return one[:start] + one[start:-1] * 100_000 + b";"


def jpeg_behind_a_pdf() -> bytes:
    """Both a photograph and a document, as readers that search for `%PDF` see it."""
    return jpeg_segment(0xFE, b"%PDF-1.4\n1 0 obj<</JS(" + MARK + b")>>endobj\n%%EOF")


def png_with_a_lying_chunk() -> bytes:
    """A chunk that says it is two gigabytes long."""
    content = encoded(picture(), "PNG")
    return content[:33] + struct.pack(">I", 0x7FFFFFF0) + b"tEXt" + MARK


def mp4_with(extra: bytes) -> bytes:
    """A video with another box at its end."""
    return mp4() + extra


def mp4_of_two_sizes() -> bytes:
    """Pictures that change their size on the way, in a container that allows it."""
    coder = ("-c:v", "libx264", "-preset", "ultrafast", "-bsf:v", "dump_extra")
    first = made("ts", *pattern(160, 120), "-t", "1", *coder)
    second = made("ts", *pattern(640, 480), "-t", "1", *coder)
    return remuxed(first + second)


def remuxed(stream: bytes) -> bytes:
    """A transport stream as a Matroska file, not encoded anew."""
    command = [
        get_ffmpeg_exe(),
        "-v",
        "error",
        "-f",
        "mpegts",
        "-i",
        "pipe:0",
        "-c",
        "copy",
        "-f",
        "matroska",
        "pipe:1",
    ]
    return subprocess.run(command, input=stream, check=True, capture_output=True, timeout=60).stdout


def wav_claiming_four_gigabytes() -> bytes:
    """A second of sound in a chunk that says it is as long as one can be."""
    content = wav()
    start = content.index(b"data") + 4
    return content[:start] + b"\xff\xff\xff\xff" + content[start + 4 :]


def hour_of_one_pixel() -> bytes:
    """One pixel, for an hour, one picture a minute."""
    still = ("-f", "lavfi", "-i", "color=size=2x2:rate=1/60", "-vf", "scale=1:1")
    return made("webm", *still, "-t", "3600", "-c:v", "libvpx")


def five_hours() -> bytes:
    """Five hours of the same small picture."""
    still = ("-f", "lavfi", "-i", "color=size=32x32:rate=1/60")
    return made("mp4", *still, "-t", "18000", "-c:v", "libx264", "-preset", "ultrafast")


def mkv_with_attachment() -> bytes:
    """A video that carries a web page."""
    with TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_bytes(SCRIPT)
        attached = ("-attach", str(page), "-metadata:s:t", "mimetype=text/html")
        return made("mkv", *pattern(64, 64), "-t", "1", "-c:v", "libx264", "-preset", "ultrafast", *attached)


HLS = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n%s\n#EXT-X-ENDLIST\n"

PICTURES = [
    # Two types at once.
    Hostile("gif that is a script", "image", lambda: gif(1) + b"\0*/=1;alert('" + MARK + b"')//", READY),
    Hostile("gif whose size begins a comment", "image", lambda: gif_claiming(0x2A2F, 8) + b"*/=1;" + MARK, READY),
    Hostile("jpeg that is a pdf", "image", jpeg_behind_a_pdf, READY),
    Hostile("pdf before a jpeg", "image", lambda: b"%PDF-1.4\n" + jpeg(), "type_mismatch"),
    Hostile("jpeg with a zip behind it", "image", lambda: jpeg() + zip_file(), READY),
    Hostile("png with a zip behind it", "image", lambda: encoded(picture(), "PNG") + zip_file(), READY),
    Hostile("webp with html behind it", "image", lambda: encoded(picture(), "WEBP") + SCRIPT, READY),
    Hostile("jpeg with html in its comment", "image", lambda: jpeg_segment(0xFE, SCRIPT), READY),
    Hostile("png with php in its text", "image", lambda: png_with(png_chunk(b"tEXt", b"k\0<?php " + MARK)), READY),
    Hostile("png with html in an unknown chunk", "image", lambda: png_with(png_chunk(b"juNk", SCRIPT)), READY),
    Hostile("gif with html in its comment", "image", lambda: gif(1, comment=SCRIPT), READY),
    # Bombs and lies.
    Hostile("png that claims 3.6 gigapixels", "image", lambda: png_claiming(60_000, 60_000), "too_many_pixels"),
    Hostile("png that claims no width", "image", lambda: png_claiming(0, 10), "corrupt"),
    Hostile("png that claims 2^31 rows", "image", lambda: png_claiming(1, 0x7FFFFFFF), "too_many_pixels"),
    Hostile("png of forty black megapixels", "image", real_png_bomb, READY),
    Hostile(
        "png with a bomb in its text",
        "image",
        lambda: png_with(png_chunk(b"zTXt", b"k\0\0" + zlib.compress(b"a" * 5_000_000))),
        "corrupt",
    ),
    Hostile(
        "png with a bomb in its profile",
        "image",
        lambda: png_with(png_chunk(b"iCCP", b"k\0\0" + zlib.compress(b"a" * 50_000_000))),
        "corrupt",
    ),
    Hostile("png with a chunk of two gigabytes", "image", png_with_a_lying_chunk, "corrupt"),
    Hostile(
        "png that promises 2^31 frames",
        "image",
        lambda: png_with(png_chunk(b"acTL", struct.pack(">II", 0x7FFFFFFF, 0))),
        "too_long",
    ),
    Hostile("gif that claims 4.3 gigapixels", "image", lambda: gif_claiming(65535, 65535), "too_many_pixels"),
    Hostile("gif with a frame larger than its screen", "image", gif_with_a_huge_frame, "too_many_pixels"),
    Hostile("gif of a hundred thousand frames", "image", gif_of_many_frames, "too_long"),
    Hostile("webp that claims 268 megapixels", "image", lambda: webp_claiming(16_383), "too_many_pixels"),
    Hostile("jpeg that claims 4.3 gigapixels", "image", lambda: jpeg_claiming(65535, 65535), "too_many_pixels"),
    Hostile("jpeg that claims more than is there", "image", lambda: jpeg_claiming(3000, 3000), READY),
    Hostile("jpeg 2000", "image", lambda: encoded(picture(), "JPEG2000"), "type_mismatch"),
    Hostile(
        "jpeg 2000 that claims 2^62 pixels",
        "image",
        lambda: b"\xff\x4f\xff\x51\0\x29\0\0" + b"\x7f\xff\xff\xff" * 8,
        "type_mismatch",
    ),
    # What a file says of whoever made it.
    Hostile("jpeg that knows where it was taken", "image", lambda: jpeg(exif=exif(), comment=MARK), READY),
    Hostile("webp that knows where it was taken", "image", lambda: encoded(picture(), "WEBP", exif=exif()), READY),
    Hostile("jpeg with twenty megabytes of exif", "image", lambda: many_segments(0xE1), READY),
    Hostile("jpeg with twenty megabytes of profile", "image", lambda: many_segments(0xE2), READY),
    Hostile("jpeg with the mark in its profile", "image", lambda: jpeg(icc_profile=colour_profile() + MARK), READY),
    # Other types under a good name.
    Hostile(
        "svg", "image", lambda: b'<svg xmlns="http://www.w3.org/2000/svg" onload="' + MARK + b'"/>', "type_mismatch"
    ),
    Hostile("html", "image", lambda: b"<!doctype html>" + SCRIPT, "type_mismatch"),
    Hostile("html before a jpeg", "image", lambda: SCRIPT + jpeg(), "type_mismatch"),
    Hostile("eps", "image", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n(" + MARK + b") run\n", "type_mismatch"),
    Hostile("pdf", "image", lambda: encoded(picture(), "PDF"), "type_mismatch"),
    Hostile("tiff", "image", lambda: encoded(picture(), "TIFF"), "type_mismatch"),
    Hostile("bmp", "image", lambda: encoded(picture(), "BMP"), "type_mismatch"),
    Hostile("icon", "image", lambda: encoded(picture(), "ICO"), "type_mismatch"),
    Hostile("mvg", "image", lambda: b"push graphic-context\nfill 'url(http://127.0.0.1/x.png)'\n", "type_mismatch"),
    Hostile("avif", "image", lambda: box(b"ftyp", b"avif\0\0\0\0mif1"), "type_mismatch"),
    Hostile("video under an image's name", "image", mp4, "type_mismatch"),
    Hostile("zip", "image", zip_file, "type_mismatch"),
    Hostile("one byte", "image", lambda: b"\0", "type_mismatch"),
    # Cut off.
    Hostile("jpeg that ends early", "image", lambda: jpeg(400, 300)[:700], "corrupt"),
    Hostile("png that ends early", "image", lambda: encoded(Image.effect_noise((99, 99), 90), "PNG")[:4000], "corrupt"),
    Hostile("head of a jpeg", "image", lambda: b"\xff\xd8\xff\xe0", "corrupt"),
    Hostile("head of a webp", "image", lambda: b"RIFF\x10\0\0\0WEBPVP8 ", "corrupt"),
    Hostile("head of a gif with noise", "image", lambda: b"GIF89a" + bytes(range(256)), "corrupt"),
]

CLIPS = [
    # Playlists, which make a reader open other files or addresses.
    Hostile("playlist of a local file", "video", lambda: HLS % b"file:///etc/passwd", "type_mismatch"),
    Hostile("playlist of an address", "video", lambda: HLS % b"http://127.0.0.1:9/x.ts", "type_mismatch"),
    Hostile(
        "playlist that joins both",
        "video",
        lambda: HLS % b"concat:http://127.0.0.1:9/x|file:///etc/passwd",
        "type_mismatch",
    ),
    Hostile("ffconcat of a local file", "video", lambda: b"ffconcat version 1.0\nfile /etc/passwd\n", "type_mismatch"),
    Hostile("concat of an address", "audio", lambda: b"file 'http://127.0.0.1:9/x.mp3'\n", "type_mismatch"),
    Hostile(
        "playlist inside a video's first box",
        "video",
        lambda: box(b"ftyp", b"isom") + HLS % b"file:///etc/passwd",
        "corrupt",
    ),
    Hostile("playlist of sounds", "audio", lambda: b"[playlist]\nFile1=/etc/passwd\n", "type_mismatch"),
    Hostile(
        "dash manifest",
        "video",
        lambda: b"<?xml version='1.0'?><MPD><BaseURL>http://127.0.0.1:9/</BaseURL></MPD>",
        "type_mismatch",
    ),
    Hostile("sdp", "video", lambda: b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n", "type_mismatch"),
    Hostile(
        "avi with a playlist in it",
        "video",
        lambda: b"RIFF\xff\xff\0\0AVI " + HLS % b"file:///etc/passwd",
        "type_mismatch",
    ),
    # Two types at once.
    Hostile("mp4 with html in a box", "video", lambda: mp4_with(box(b"free", SCRIPT)), READY),
    Hostile("mp4 with a box of its own", "video", lambda: mp4_with(box(b"uuid", b"\0" * 16 + SCRIPT)), READY),
    Hostile("mp4 with a zip behind it", "video", lambda: mp4_with(zip_file()), READY),
    Hostile(
        "mp4 with the mark in its title",
        "video",
        lambda: mp4(160, 120, "1", "-metadata", f"title={MARK.decode()}"),
        READY,
    ),
    Hostile(
        "mp4 that knows where it was taken",
        "video",
        lambda: taken_in_berlin("mp4", "-movflags", "use_metadata_tags"),
        READY,
    ),
    Hostile("quicktime that knows where it was taken", "video", lambda: taken_in_berlin("mov"), READY),
    Hostile("mkv that knows where it was taken", "video", lambda: taken_in_berlin("mkv"), READY),
    Hostile("mkv with a web page attached", "video", mkv_with_attachment, READY),
    Hostile("mp3 with html in its title", "audio", lambda: mp3("1", "-metadata", f"title={SCRIPT.decode()}"), READY),
    Hostile(
        "wav with html behind it", "audio", lambda: wav() + b"LIST" + struct.pack("<I", len(SCRIPT)) + SCRIPT, READY
    ),
    # Wrong class.
    Hostile("sound announced as video", "video", wav, "type_mismatch"),
    Hostile(
        "sound in a video's container", "video", lambda: made("mp4", *TONE, "-t", "1", "-c:a", "aac"), "type_mismatch"
    ),
    Hostile("video announced as sound", "audio", mp4, "type_mismatch"),
    Hostile("image announced as video", "video", jpeg, "type_mismatch"),
    Hostile("html announced as video", "video", lambda: SCRIPT, "type_mismatch"),
    Hostile("html announced as sound", "audio", lambda: b"ID3\x04" + SCRIPT * 50, "corrupt"),
    # Cut off and empty.
    Hostile("mp4 without its index", "video", lambda: without_box(mp4(), b"moov"), "corrupt"),
    Hostile("mp4 without its pictures", "video", lambda: without_box(mp4(), b"mdat"), "corrupt"),
    Hostile("mp4 that ends before its index", "video", lambda: mp4()[:3000], "corrupt"),
    Hostile("head of an mp4", "video", lambda: box(b"ftyp", b"isom\0\0\0\0"), "corrupt"),
    Hostile(
        "mp4 whose box says it is 2^63 long",
        "video",
        lambda: box(b"ftyp", b"isom") + struct.pack(">I4sQ", 1, b"moov", 1 << 63),
        "corrupt",
    ),
    Hostile("head of a matroska", "video", lambda: b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska", "corrupt"),
    Hostile("wav that claims four gigabytes", "audio", wav_claiming_four_gigabytes, READY),
    # Too much.
    Hostile("an hour of one pixel", "video", hour_of_one_pixel, "unsupported"),
    Hostile("five hours of a small picture", "video", five_hours, "too_long"),
    Hostile(
        "pictures wider than any may be",
        "video",
        lambda: made("mp4", *pattern(4352, 32), "-frames:v", "1", "-c:v", "libx264", "-preset", "ultrafast"),
        "too_many_pixels",
    ),
    Hostile(
        "a hundred and twenty pictures a second",
        "video",
        lambda: made("mp4", *pattern(64, 64, "120"), "-t", "1", "-c:v", "libx264", "-preset", "ultrafast"),
        "unsupported",
    ),
    Hostile("pictures that change their size", "video", mp4_of_two_sizes, READY),
    Hostile(
        "a codec that is not taken",
        "video",
        lambda: made("mkv", *pattern(64, 64), "-t", "1", "-c:v", "ffv1"),
        "unsupported",
    ),
]

CORPUS = [*PICTURES, *CLIPS]
