"""How much one creator may bring: bytes and files in a day, and files that wait; each has its own limit and message.

Deleted files and given-up uploads count too, or deleting would make room for ever more work.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, Min, Q, Sum

from media import conf
from media.exceptions import QuotaExceededError
from media.models.assets import MediaAsset
from media.services.owners import lock_owner

UPLOADS_LOCK = 0x7475  # first key of our two-key advisory locks, so that they meet nobody else's
A_DAY = timedelta(days=1)
WAITING = Q(status__in=[MediaAsset.Status.PENDING_UPLOAD, MediaAsset.Status.UPLOADED]) | Q(
    next_attempt_at__isnull=False
)


def lock_quota(*, owner_id: UUID) -> None:
    """Let no other upload of this owner be counted until the transaction ends."""
    lock_owner(space=UPLOADS_LOCK, owner_id=owner_id)


def refuse_over_quota(*, owner_id: UUID, size_bytes: int, now: datetime) -> None:
    """Raise when one more file of this size is over a limit; exact under `lock_quota`, else a first look."""
    owned = MediaAsset.objects.filter(owner_id=owner_id)
    if owned.filter(WAITING).count() >= conf.max_in_flight():
        raise QuotaExceededError(
            f"{conf.max_in_flight()} files may be uploaded or processed at a time. Complete uploads that are on their"
            " way or give them up, or wait until files are processed"
        )
    today = owned.filter(created_at__gt=now - A_DAY).aggregate(
        files=Count("pk"), used=Sum("size_bytes", default=0), first=Min("created_at")
    )
    room_at = f"{(today['first'] or now) + A_DAY:%Y-%m-%dT%H:%M:%SZ}"
    if today["files"] >= conf.daily_files():
        raise QuotaExceededError(
            f"{conf.daily_files()} files may be uploaded in 24 hours. The first of them stops counting at {room_at}"
        )
    left = max(conf.daily_bytes() - today["used"], 0)
    if size_bytes > left:
        raise QuotaExceededError(
            f"{conf.daily_bytes()} bytes may be uploaded in 24 hours, and {left} of them are left. Upload a smaller"
            f" file, or wait: the first upload of these hours stops counting at {room_at}"
        )
