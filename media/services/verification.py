"""The store is held against the rows: what a row says is there must be there, and nothing else may be.

A row whose bytes are lost is marked and stays: people decide what becomes of it. Bytes in a file's folder that no row
names are what a dead request or worker left behind, and are removed once nobody can still be writing them.
"""

import logging
from dataclasses import dataclass
from uuid import UUID

from django.utils import timezone

from media import storage
from media.models import MediaAsset, MediaVariant
from media.services.removal import STRAY_AGE

BATCH = 500
# No worker takes these up again, so nobody writes into their folders. A failed file may be tried again, and keeps all.
SETTLED = (MediaAsset.Status.READY, MediaAsset.Status.REJECTED)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one file: keys that are named and not there, and keys that were there and not named."""

    media_id: UUID
    missing: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(slots=True)
class Report:
    """What a look at all files found."""

    files: int
    lost: list[Finding]
    removed: int


def verify_all() -> Report:
    """Look at every file that was brought, in the order of their ids."""
    report = Report(files=0, lost=[], removed=0)
    last = UUID(int=0)
    while ids := ids_after(last):
        for media_id in ids:
            finding = verify_files(media_id=media_id)
            report.files += 1
            if finding is not None:
                report.removed += len(finding.removed)
                report.lost += [finding] if finding.missing else []
        last = ids[-1]
    return report


def ids_after(last: UUID) -> list[UUID]:
    """The next files that were brought."""
    brought = MediaAsset.objects.brought().filter(pk__gt=last).order_by("pk")
    return list(brought.values_list("pk", flat=True)[:BATCH])


def verify_files(*, media_id: UUID) -> Finding | None:
    """Hold one file against the store: mark it as lost or take the mark away, and remove what is left over.

    None when the file is as it should be, or changed while it was looked at.
    """
    asset = MediaAsset.objects.brought().prefetch_related("variants").filter(pk=media_id).first()
    if asset is None:
        return None
    stored = storage.keys_in(asset.folder)
    missing = tuple(sorted(named_keys(asset) - stored))
    now = timezone.now()
    unchanged = MediaAsset.objects.filter(pk=media_id, status=asset.status, updated_at=asset.updated_at)
    if missing:
        logger.error("media %s lacks %s", media_id, ", ".join(missing))
        marked = unchanged.update(files_missing_since=asset.files_missing_since or now)
    else:
        marked = unchanged.update(files_missing_since=None)
    if not marked:
        return None
    surplus: tuple[str, ...] = ()
    if asset.status in SETTLED and asset.updated_at < now - STRAY_AGE:
        surplus = tuple(sorted(key for key in stored if not belongs(key, asset)))
    for key in surplus:
        logger.warning("media %s: %s was left over", media_id, key)
        storage.remove(key)
    return Finding(media_id, missing, surplus) if missing or surplus else None


def named_keys(asset: MediaAsset) -> set[str]:
    """What must be in the store."""
    return {asset.storage_key, *(variant.storage_key for variant in asset.variants.all())}


def belongs(key: str, asset: MediaAsset) -> bool:
    """Whether a row names the key, or the playlist of a row does."""
    named = named_keys(asset)
    playlist = asset.variant_key(MediaVariant.Name.HLS)
    return key in named or (playlist in named and key.startswith(f"{playlist}_"))
