"""How much one creator may bring: bytes and files in a day, and files that wait; each has its own limit and message.

Deleted files and given-up uploads count too, or deleting would make room for ever more work.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Count, Min, Q, Sum

from media import conf
from media.exceptions import QuotaExceededError
from media.models.assets import MediaAsset

UPLOADS_LOCK, WORK_LOCK = 0x7475, 0x7476  # first keys of our two-key advisory locks, so that they meet nobody else's
A_DAY = timedelta(days=1)
WAITING = Q(status__in=[MediaAsset.Status.PENDING_UPLOAD, MediaAsset.Status.UPLOADED]) | Q(
    next_attempt_at__isnull=False
)


def lock_quota(*, owner_id: UUID) -> None:
    """Let no other upload of this owner be counted until the transaction ends."""
    lock_owner(UPLOADS_LOCK, owner_id)


def lock_work(*, owner_id: UUID) -> None:
    """Let no other file of this owner be taken up until the transaction ends."""
    lock_owner(WORK_LOCK, owner_id)


def lock_owner(space: int, owner_id: UUID) -> None:
    """Wait for whoever counts the same of this owner."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [space, str(owner_id)])


def is_over_share(asset: MediaAsset, now: datetime) -> bool:
    """Whether its owner has as many files at work beside it as one may have; exact under `lock_work`."""
    beside = MediaAsset.objects.at_work(now).filter(owner_id=asset.owner_id, kind__in=asset.kinds_beside)
    return beside.count() >= conf.max_at_work()


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
