"""Real clips, made by real encoders as they are needed, and the boxes that files like them are built of."""

import struct
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from imageio_ffmpeg import get_ffmpeg_exe

TONE = ("-f", "lavfi", "-i", "sine=frequency=440")


def ffmpeg(*arguments: str | Path, folder: str | Path | None = None) -> None:
    """Run the encoder."""
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *arguments]
    subprocess.run(command, check=True, cwd=folder, timeout=120)


def pattern(width: int, height: int, rate: str = "25") -> tuple[str, ...]:
    """A moving test picture as the encoder's input."""
    return ("-f", "lavfi", "-i", f"testsrc2=size={width}x{height}:rate={rate}")


@cache
def made(suffix: str, *arguments: str) -> bytes:
    """What the encoder writes for these arguments into a file of this suffix."""
    with TemporaryDirectory() as folder:
        target = Path(folder) / f"clip.{suffix}"
        ffmpeg(*arguments, target)
        return target.read_bytes()


def mp4(width: int = 160, height: int = 120, seconds: str = "1", *arguments: str) -> bytes:
    """A short video with sound."""
    encoder = ("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-pix_fmt", "yuv420p")
    return made("mp4", *pattern(width, height), *TONE, "-t", seconds, *encoder, *arguments)


def wav(seconds: str = "1") -> bytes:
    """A short recording."""
    return made("wav", *TONE, "-t", seconds)


def mp3(seconds: str = "1", *arguments: str) -> bytes:
    """A short recording, compressed."""
    return made("mp3", *TONE, "-t", seconds, "-c:a", "libmp3lame", *arguments)


def box(name: bytes, content: bytes) -> bytes:
    """One box of an MP4."""
    return struct.pack(">I", 8 + len(content)) + name + content


def without_box(content: bytes, name: bytes) -> bytes:
    """An MP4 without its outer boxes of this name."""
    kept, position = b"", 0
    while position + 8 <= len(content):
        size, here = struct.unpack(">I4s", content[position : position + 8])
        if here != name:
            kept += content[position : position + size]
        position += size
    return kept
