"""How many files of one owner are worked on at a time, so that nobody waits for somebody else's whole archive."""

from datetime import datetime
from uuid import UUID

from media import conf
from media.models.assets import MediaAsset
from media.services.owners import lock_owner

WORK_LOCK = 0x7476  # beside UPLOADS_LOCK of the quotas


def lock_work(*, owner_id: UUID) -> None:
    """Let no other file of this owner be taken up until the transaction ends."""
    lock_owner(space=WORK_LOCK, owner_id=owner_id)


def is_over_share(asset: MediaAsset, now: datetime) -> bool:
    """Whether its owner has as many files at work beside it as one may have; exact under `lock_work`."""
    beside = MediaAsset.objects.at_work(now).filter(owner_id=asset.owner_id, kind__in=asset.kinds_beside)
    return beside.count() >= conf.max_at_work()
