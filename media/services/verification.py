"""The store is held against the rows: what a row says is there must be there, and nothing else may be.

A row whose bytes are lost is marked and stays: people decide what becomes of it. Bytes in a file's folder that no row
names are what a dead request or worker left behind, and are removed once nobody can still be writing them.
"""

import logging
from dataclasses import dataclass
from uuid import UUID

from django.utils import timezone

from media import storage
from media.models.assets import MediaAsset
from media.models.variants import MediaVariant
from media.models.verifications import StoreVerification
from media.services.removal import STRAY_AGE

BATCH = 500
BEFORE_ALL = UUID(int=0)
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
    """What a look at files found; `last` is the one looked at last, None when none was left."""

    files: int
    lost: list[Finding]
    removed: int
    last: UUID | None


def verify_next(*, after: UUID) -> Report:
    """Look at the next files that were brought, in the order of their ids; with none left the whole look has ended."""
    brought = MediaAsset.objects.brought().filter(pk__gt=after).order_by("pk")
    ids = list(brought.values_list("pk", flat=True)[:BATCH])
    if not ids:
        StoreVerification.objects.create(ended_at=timezone.now())
    findings = [finding for media_id in ids if (finding := verify_files(media_id=media_id)) is not None]
    return Report(
        files=len(ids),
        lost=[finding for finding in findings if finding.missing],
        removed=sum(len(finding.removed) for finding in findings),
        last=ids[-1] if ids else None,
    )


def verify_all() -> Report:
    """Look at every file that was brought."""
    whole, step = Report(files=0, lost=[], removed=0, last=None), verify_next(after=BEFORE_ALL)
    while step.last is not None:
        whole.files += step.files
        whole.lost += step.lost
        whole.removed += step.removed
        step = verify_next(after=step.last)
    return whole


def verify_files(*, media_id: UUID) -> Finding | None:
    """Hold one file against the store: mark it as lost or take the mark away, and remove what is left over.

    None when the file is as it should be, or changed while it was looked at.
    """
    asset = MediaAsset.objects.brought().prefetch_related("variants").filter(pk=media_id).first()
    if asset is None:
        return None
    stored = storage.keys_in(asset.folder)
    missing = tuple(sorted((named_keys(asset) | played_keys(asset)) - stored))
    now = timezone.now()
    unchanged = MediaAsset.objects.filter(pk=media_id, status=asset.status, updated_at=asset.updated_at)
    if not unchanged.update(files_missing_since=(asset.files_missing_since or now) if missing else None):
        return None
    if missing:
        logger.error("media %s lacks %s", media_id, ", ".join(missing))
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


def played_keys(asset: MediaAsset) -> set[str]:
    """What the playlists of a clip name; of one that is lost nobody knows what it named."""
    playlist = asset.variant_key(MediaVariant.Name.HLS)
    if playlist not in named_keys(asset):
        return set()
    rungs = keys_named_in(playlist, asset)
    return rungs.union(*(keys_named_in(rung, asset) for rung in rungs))


def keys_named_in(playlist: str, asset: MediaAsset) -> set[str]:
    """The keys of the files that one playlist names."""
    try:
        with storage.open_stored(playlist) as stream:
            lines = stream.read().decode().splitlines()
    except FileNotFoundError:
        return set()
    return {asset.variant_key(line) for line in lines if line and not line.startswith("#")}


def belongs(key: str, asset: MediaAsset) -> bool:
    """Whether a row names the key, or the playlist of a row does."""
    named = named_keys(asset)
    playlist = asset.variant_key(MediaVariant.Name.HLS)
    return key in named or (playlist in named and key.startswith(f"{playlist}_"))
