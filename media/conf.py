"""The limits of this room; every one can be set in Django's settings under the name in capitals."""

from datetime import timedelta

from django.conf import settings

from media.confined import Limits

MEGABYTE = 1024 * 1024
PATIENCE = 2.0  # a busy machine may take so much longer than the processor works
BYTES_PER_SECOND = 2 * MEGABYTE  # of a clip; the largest rung of the ladder has about half
# How every byte of a creator's file is handed out: to one viewer, never sniffed, never run.
LOCKED_DOWN = {
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-site",
    "X-Content-Type-Options": "nosniff",
}


def max_image_bytes() -> int:
    """MEDIA_MAX_IMAGE_BYTES: the largest file that is taken."""
    return int(getattr(settings, "MEDIA_MAX_IMAGE_BYTES", 25 * MEGABYTE))


def max_form_bytes() -> int:
    """The largest file that is taken through our own process in one request: any larger one is announced."""
    return max_image_bytes()


def max_image_pixels() -> int:
    """MEDIA_MAX_IMAGE_PIXELS: width times height of the largest image that is decoded."""
    return int(getattr(settings, "MEDIA_MAX_IMAGE_PIXELS", 40_000_000))


def image_limits() -> Limits:
    """MEDIA_IMAGE_CPU_SECONDS, MEDIA_IMAGE_MEMORY_BYTES: what decoding and drawing one image may take."""
    cpu_seconds = int(getattr(settings, "MEDIA_IMAGE_CPU_SECONDS", 30))
    return Limits(
        cpu_seconds=cpu_seconds,
        wall_seconds=cpu_seconds * PATIENCE,
        memory_bytes=int(getattr(settings, "MEDIA_IMAGE_MEMORY_BYTES", 1024 * MEGABYTE)),
        output_bytes=64 * MEGABYTE,
    )


def max_clip_bytes(kind: str) -> int:
    """MEDIA_MAX_VIDEO_BYTES, MEDIA_MAX_AUDIO_BYTES: the largest file that is taken."""
    if kind == "audio":
        return int(getattr(settings, "MEDIA_MAX_AUDIO_BYTES", 512 * MEGABYTE))
    return int(getattr(settings, "MEDIA_MAX_VIDEO_BYTES", 2048 * MEGABYTE))


def max_bytes(kind: str) -> int:
    """The largest file of this kind that is taken."""
    return max_image_bytes() if kind == "image" else max_clip_bytes(kind)


def max_clip_seconds() -> int:
    """MEDIA_MAX_CLIP_SECONDS: how long a video or a recording may be."""
    return int(getattr(settings, "MEDIA_MAX_CLIP_SECONDS", 4 * 3600))


def max_video_side() -> int:
    """MEDIA_MAX_VIDEO_SIDE: the longer side of the largest video, in pixels."""
    return int(getattr(settings, "MEDIA_MAX_VIDEO_SIDE", 4096))


def max_frame_rate() -> int:
    """MEDIA_MAX_FRAME_RATE: the most pictures that a video may have in a second."""
    return int(getattr(settings, "MEDIA_MAX_FRAME_RATE", 60))


def clip_limits(seconds: float = 0.0) -> Limits:
    """What one run of ffmpeg on a clip of so many seconds may take; MEDIA_CLIP_MEMORY_BYTES of memory."""
    cpu_seconds = 60 + int(seconds * int(getattr(settings, "MEDIA_CLIP_CPU_SECONDS_PER_SECOND", 20)))
    return Limits(
        cpu_seconds=cpu_seconds,
        wall_seconds=cpu_seconds * PATIENCE,
        memory_bytes=int(getattr(settings, "MEDIA_CLIP_MEMORY_BYTES", 3072 * MEGABYTE)),
        output_bytes=32 * MEGABYTE + int(seconds * BYTES_PER_SECOND),
    )


def clamav_address() -> str:
    """MEDIA_CLAMAV: where clamd listens, `host:port` or `unix:/path`; empty when nothing is scanned."""
    return str(getattr(settings, "MEDIA_CLAMAV", ""))


def ffmpeg_path() -> str:
    """MEDIA_FFMPEG: the ffmpeg that is run; empty for the one that imageio-ffmpeg brings."""
    return str(getattr(settings, "MEDIA_FFMPEG", ""))


def max_frames() -> int:
    """MEDIA_MAX_FRAMES: how long an animation may be."""
    return int(getattr(settings, "MEDIA_MAX_FRAMES", 200))


def orphan_grace() -> timedelta:
    """MEDIA_ORPHAN_GRACE_SECONDS: how long a file is kept after the last post that used it let go of it."""
    return timedelta(seconds=int(getattr(settings, "MEDIA_ORPHAN_GRACE_SECONDS", 604_800)))


def unused_grace() -> timedelta:
    """MEDIA_UNUSED_GRACE_SECONDS: how long an uploaded file may wait for its first post."""
    return timedelta(seconds=int(getattr(settings, "MEDIA_UNUSED_GRACE_SECONDS", 86_400)))


def daily_bytes() -> int:
    """MEDIA_DAILY_BYTES: how much one owner may upload in 24 hours."""
    return int(getattr(settings, "MEDIA_DAILY_BYTES", 2048 * MEGABYTE))


def daily_files() -> int:
    """MEDIA_DAILY_FILES: how many files one owner may upload in 24 hours."""
    return int(getattr(settings, "MEDIA_DAILY_FILES", 500))


def max_in_flight() -> int:
    """MEDIA_MAX_IN_FLIGHT: how many files of one owner may be on their way or wait for the workers."""
    return int(getattr(settings, "MEDIA_MAX_IN_FLIGHT", 50))


def max_at_work() -> int:
    """MEDIA_MAX_AT_WORK: how many images, and how many clips, of one owner are processed at a time."""
    return int(getattr(settings, "MEDIA_MAX_AT_WORK", 1))


def url_lifetime() -> timedelta:
    """MEDIA_URL_SECONDS: how long a signed address of a variant works."""
    return timedelta(seconds=int(getattr(settings, "MEDIA_URL_SECONDS", 300)))


def upload_lifetime() -> timedelta:
    """MEDIA_UPLOAD_SECONDS: how long an announced file may be brought to its signed address."""
    return timedelta(seconds=int(getattr(settings, "MEDIA_UPLOAD_SECONDS", 3600)))


def part_bytes() -> int:
    """MEDIA_PART_BYTES: a larger announced file comes in parts of this size; 5 MB at least in a bucket."""
    return int(getattr(settings, "MEDIA_PART_BYTES", 16 * MEGABYTE))


def upload_patience() -> timedelta:
    """MEDIA_UPLOAD_PATIENCE_SECONDS: how long an announced file may wait to be completed."""
    return timedelta(seconds=int(getattr(settings, "MEDIA_UPLOAD_PATIENCE_SECONDS", 86_400)))
