"""The limits of this room; every one can be set in Django's settings under the name in capitals."""

from datetime import timedelta

from django.conf import settings

MEGABYTE = 1024 * 1024
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


def max_image_pixels() -> int:
    """MEDIA_MAX_IMAGE_PIXELS: width times height of the largest image that is decoded."""
    return int(getattr(settings, "MEDIA_MAX_IMAGE_PIXELS", 40_000_000))


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


def max_in_flight() -> int:
    """MEDIA_MAX_IN_FLIGHT: how many files of one owner may wait for the workers."""
    return int(getattr(settings, "MEDIA_MAX_IN_FLIGHT", 50))


def url_lifetime() -> timedelta:
    """MEDIA_URL_SECONDS: how long a signed address of a variant works."""
    return timedelta(seconds=int(getattr(settings, "MEDIA_URL_SECONDS", 300)))
