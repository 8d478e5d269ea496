"""ffmpeg, kept on a short leash: one demuxer, a few decoders, no network, limits that the operating system holds it to.

What is known of a clip is measured from its packets, not read from what its headers promise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

from media import conf
from media.confined import Limits, run_program
from media.containers import Container
from media.exceptions import ChildDiedError, UnfitMediaError
from media.models.assets import MediaAsset

Failure = MediaAsset.Failure

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mp3,flac,wav,ogg"
VIDEO_CODECS = {"h264", "hevc", "vp8", "vp9", "av1", "mpeg4"}
PCM = {"pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_u8", "pcm_s16be", "pcm_s24be"}
AUDIO_CODECS = {"aac", "mp3", "opus", "vorbis", "flac", "alac", *PCM}
# Decoders bear other names than codecs here and there; libdav1d is the one for AV1 that needs no hardware.
DECODERS = ",".join(sorted({*VIDEO_CODECS, *AUDIO_CODECS, "mp3float", "libdav1d", "libopus", "libvorbis"}))
SOME_TIME = 1 << 60  # beyond it is no time but a flag that there is none
FEW_PACKETS = 10
THREADS = 2


@dataclass(slots=True)
class Stream:
    """One stream of a clip: pictures or sound, and when its packets begin and end, in seconds."""

    media_type: str = ""
    codec: str = ""
    width: int = 0
    height: int = 0
    pixel_shape: Fraction = Fraction(1)
    tick: Fraction = Fraction(1)
    packets: int = 0
    starts: Fraction | None = None
    ends: Fraction = Fraction(0)

    @property
    def seconds(self) -> float:
        """From the first packet's time, or zero if it is before, to the end of the last."""
        return float(max(self.ends - max(self.starts or Fraction(0), Fraction(0)), Fraction(0)))


@dataclass(slots=True)
class Measured:
    """What ffmpeg's `framecrc` prints of a clip, line by line: its streams, then each packet."""

    streams: dict[int, Stream] = field(default_factory=dict)

    def hear(self, line: str) -> None:
        """Take one line in; raises UnfitMediaError as soon as the clip is longer than one may be."""
        if line.startswith("#"):
            self._describe(line[1:])
        else:
            self._count(line)

    def _describe(self, line: str) -> None:
        name, _, value = line.partition(": ")
        what, _, number = name.rpartition(" ")
        if not number.isdigit():
            return
        stream = self.streams.setdefault(int(number), Stream())
        match what:
            case "tb":
                stream.tick = Fraction(value)
            case "media_type":
                stream.media_type = value
            case "codec_id":
                stream.codec = value
            case "dimensions":
                width, _, height = value.partition("x")
                stream.width, stream.height = int(width), int(height)
            case "sar" if value[:2] != "0/":
                stream.pixel_shape = Fraction(value)

    def _count(self, line: str) -> None:
        number, _, shown, duration, *_ = (int(part) for part in line.split(",")[:4])
        stream = self.streams[number]
        stream.packets += 1
        if abs(shown) > SOME_TIME:
            return
        begins = shown * stream.tick
        stream.starts = begins if stream.starts is None else min(stream.starts, begins)
        stream.ends = max(stream.ends, begins + duration * stream.tick)
        if stream.ends > conf.max_clip_seconds() + 1:
            raise UnfitMediaError(Failure.TOO_LONG, f"longer than {conf.max_clip_seconds()} seconds")

    def first(self, media_type: str) -> Stream | None:
        """The first stream of pictures or of sound."""
        return next((stream for stream in self.streams.values() if stream.media_type == media_type), None)

    @property
    def duration_ms(self) -> int:
        """Of the longest stream."""
        return round(max((stream.seconds for stream in self.streams.values()), default=0.0) * 1000)


@cache
def program() -> str:
    """The ffmpeg that is run."""
    return conf.ffmpeg_path() or str(get_ffmpeg_exe())


def opened(source: Path, container: Container) -> list[str | Path]:
    """The arguments that open a file that a stranger sent."""
    return [
        *("-protocol_whitelist", "file,pipe", "-format_whitelist", FORMATS, "-codec_whitelist", DECODERS),
        *("-max_pixels", str(conf.max_video_side() ** 2), "-threads", str(THREADS)),
        *("-f", container.demuxer, "-i", source),
    ]


def run(
    arguments: Sequence[str | Path], *, folder: Path, limits: Limits, on_line: Callable[[str], None] | None = None
) -> None:
    """Run ffmpeg; raises UnfitMediaError when it cannot make sense of the file."""
    command = [program(), "-nostdin", "-hide_banner", "-v", "error", "-y", *arguments]
    try:
        run_program(command, limits=limits, folder=folder, on_line=on_line)
    except ChildDiedError as error:
        if error.exit_code < 0:  # a signal: not a word about the file
            raise
        raise UnfitMediaError(Failure.CORRUPT, str(error)) from error


def measure(source: Path, container: Container, *, folder: Path) -> Measured:
    """What the first stream of pictures, cover art apart, and the first of sound are and last."""
    measured = Measured()
    arguments = ["-map", "0:V:0?", "-map", "0:a:0?", "-c", "copy", "-f", "framecrc", "pipe:1"]
    run(
        [*opened(source, container), *arguments],
        folder=folder,
        limits=conf.clip_limits(),
        on_line=measured.hear,
    )
    return measured


def upright_size(source: Path, container: Container, *, folder: Path) -> tuple[int, int]:
    """Width and height of the first picture as it is shown, decoded to be sure that it can be."""
    measured = Measured()
    arguments = ["-map", "0:V:0", "-frames:v", "1", "-f", "framecrc", "pipe:1"]
    run([*opened(source, container), *arguments], folder=folder, limits=conf.clip_limits(), on_line=measured.hear)
    picture = measured.first("video")
    if picture is None or not picture.packets:
        raise UnfitMediaError(Failure.CORRUPT, "no picture can be decoded")
    return max(round(picture.width * picture.pixel_shape), 1), picture.height


def progress_of(line: str) -> float | None:
    """How many seconds are done, from a line of `-progress`; None when it says something else."""
    name, _, value = line.partition("=")
    return int(value) / 1_000_000 if name == "out_time_us" and value.lstrip("-").isdigit() else None
