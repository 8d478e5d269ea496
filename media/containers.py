"""Which container the first bytes of a file are of, and with which of ffmpeg's demuxers alone it is opened.

What is not here is not taken, above all the playlists (m3u8, concat, ffconcat), which make a reader open other files.
"""

from dataclasses import dataclass

HEAD_BYTES = 512
FTYP = slice(4, 8)
BRAND = slice(8, 12)
VIDEO_BRANDS = {
    *(
        b"isom",
        b"iso2",
        b"iso3",
        b"iso4",
        b"iso5",
        b"iso6",
        b"mp41",
        b"mp42",
        b"avc1",
        b"dash",
        b"MSNV",
        b"M4V ",
        b"M4VH",
    ),
    *(b"3gp4", b"3gp5", b"3gp6", b"3g2a"),
}
AUDIO_BRANDS = {b"M4A ", b"M4B "}
EBML = b"\x1a\x45\xdf\xa3"
# Between an MP3's sync bits and its end: version 1, 2 or 2.5 and layer 3, with or without a checksum.
MP3_FRAMES = (b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2", b"\xff\xe3", b"\xff\xe2")


@dataclass(frozen=True, slots=True)
class Container:
    """A format with ffmpeg's name for it, and what a file of it is called by what it holds."""

    demuxer: str
    video_mime: str | None
    audio_mime: str | None

    def holds(self, kind: str) -> bool:
        """Whether a file of this kind can come in it."""
        return (self.video_mime if kind == "video" else self.audio_mime if kind == "audio" else None) is not None

    def mime(self, kind: str) -> str:
        """What a file of this kind in it is called; only for kinds that it holds."""
        mime = self.video_mime if kind == "video" else self.audio_mime
        assert mime is not None
        return mime


MP4 = Container("mov", "video/mp4", "audio/mp4")
M4A = Container("mov", None, "audio/mp4")
QUICKTIME = Container("mov", "video/quicktime", None)
WEBM = Container("matroska", "video/webm", "audio/webm")
MATROSKA = Container("matroska", "video/x-matroska", "audio/x-matroska")
MP3 = Container("mp3", None, "audio/mpeg")
FLAC = Container("flac", None, "audio/flac")
WAV = Container("wav", None, "audio/wav")
OGG = Container("ogg", None, "audio/ogg")

DOCTYPES = {b"webm": WEBM, b"matroska": MATROSKA}
STARTS = {
    b"fLaC": FLAC,
    b"OggS\x00": OGG,
    **dict.fromkeys((b"ID3\x02", b"ID3\x03", b"ID3\x04", *MP3_FRAMES), MP3),
}


def container_of(head: bytes) -> Container | None:
    """The container that the first bytes are of; None when it is none that is taken."""
    if head[FTYP] == b"ftyp":
        return container_of_brand(head[BRAND])
    if head.startswith(EBML):
        return next((container for name, container in DOCTYPES.items() if name in head[:64]), None)
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return WAV
    return next((container for start, container in STARTS.items() if head.startswith(start)), None)


def container_of_brand(brand: bytes) -> Container | None:
    """Of the many files that begin like an MP4 those that hold sound or moving pictures; a HEIC or AVIF does not."""
    if brand == b"qt  ":
        return QUICKTIME
    if brand in AUDIO_BRANDS:
        return M4A
    return MP4 if brand in VIDEO_BRANDS else None
