"""A file goes: its row becomes a tombstone and everybody hears of it, then its bytes are removed."""

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from eventbus.outbox import publish
from media import storage
from media.events import MediaDeleted
from media.exceptions import AlreadyUploadedError, MediaInUseError
from media.models.assets import MediaAsset
from media.models.references import MediaReference

Reason = MediaAsset.DeletionReason
STRAY_AGE = timedelta(hours=24)  # far longer than any upload or attempt takes
SWEEP_BATCH = 500

logger = logging.getLogger(__name__)


@transaction.atomic
def delete_media(*, media_id: UUID) -> MediaAsset:
    """Delete a file at its owner's wish, unless a post needs it."""
    asset = MediaAsset.objects.select_for_update().get(pk=media_id)
    if asset.status in MediaAsset.GONE:
        return asset
    if asset.is_pending:
        return give_up(asset)
    if MediaReference.objects.filter(media_id=media_id).exists():
        raise MediaInUseError
    return bury(asset, reason=Reason.OWNER_REQUEST)


@transaction.atomic
def remove_by_policy(*, media_id: UUID) -> MediaAsset:
    """Delete a file that must not stay, whoever needs it; the posts are told by the event."""
    asset = MediaAsset.objects.select_for_update().get(pk=media_id)
    if asset.status in MediaAsset.GONE:
        return asset
    if asset.is_pending:
        return give_up(asset)
    return bury(asset, reason=Reason.POLICY)


@transaction.atomic
def collect_orphan(*, media_id: UUID) -> MediaAsset | None:
    """Delete a file whose time is over; None when somebody needs it after all, or somebody else took it."""
    now = timezone.now()
    asset = MediaAsset.objects.brought().select_for_update(skip_locked=True).filter(pk=media_id).first()
    if asset is None or asset.collect_after is None or asset.collect_after > now:
        return None
    if MediaReference.objects.filter(media_id=media_id).exists():
        return None
    return bury(asset, reason=Reason(asset.deletion_reason or Reason.ORPHANED))


@transaction.atomic
def expire_upload(*, media_id: UUID) -> MediaAsset | None:
    """Give up an announced file that was not brought in time; None when it was, or somebody else does this."""
    overdue = MediaAsset.objects.overdue(timezone.now())
    asset = overdue.select_for_update(skip_locked=True).filter(pk=media_id).first()
    return give_up(asset) if asset else None


@transaction.atomic
def cancel_upload(*, media_id: UUID) -> MediaAsset:
    """Give up an announced file at its owner's wish; one that has been brought is to be deleted instead."""
    asset = MediaAsset.objects.select_for_update().get(pk=media_id)
    if asset.is_pending:
        return give_up(asset)
    if asset.status == MediaAsset.Status.EXPIRED:
        return asset
    raise AlreadyUploadedError


def give_up(asset: MediaAsset) -> MediaAsset:
    """The locked file will not come: nobody has heard of it, so nobody is told."""
    asset.status = MediaAsset.Status.EXPIRED
    asset.upload_expires_at = None
    asset.upload_checked_until = None
    asset.multipart_id = ""
    asset.save(update_fields=MediaAsset.ARRIVAL_FIELDS)
    return asset


def bury(asset: MediaAsset, *, reason: MediaAsset.DeletionReason) -> MediaAsset:
    """The locked file is gone from here on: nothing is served, no attempt at it counts."""
    asset.status = MediaAsset.Status.DELETED
    asset.deleted_at = timezone.now()
    asset.deletion_reason = reason
    asset.next_attempt_at = None
    asset.sequence += 1
    asset.save(update_fields=MediaAsset.DELETION_FIELDS)
    asset.variants.all().delete()
    publish(MediaDeleted.of(asset))
    return asset


def remove_files(*, media_id: UUID) -> None:
    """Remove the bytes of a file that is gone; again is harmless."""
    asset = MediaAsset.objects.with_files_left().filter(pk=media_id).first()
    if asset is None:
        return
    storage.remove_folder(asset.folder)
    MediaAsset.objects.filter(pk=media_id).update(files_removed_at=timezone.now())


def sweep_strays(*, now: datetime) -> int:
    """Remove stored folders that no living file owns: uploads whose request died, attempts that outlived a deletion."""
    removed = 0
    batch: list[str] = []
    for folder in storage.folders_older_than(STRAY_AGE, now=now):
        batch.append(folder)
        if len(batch) == SWEEP_BATCH:
            removed += remove_strays(batch)
            batch = []
    return removed + remove_strays(batch)


def drop_stray_parts(*, now: datetime) -> int:
    """Give up the uploads in parts that no awaited file goes on with: their request died, or lost a race."""
    dropped = 0
    for key, upload_id in storage.unfinished_older_than(STRAY_AGE, now=now):
        if MediaAsset.objects.filter(multipart_id=upload_id).exists():
            continue
        try:
            storage.drop_parts(key, upload_id)
        except Exception:
            logger.exception("the stray parts %s of %s could not be dropped", upload_id, key)
        else:
            dropped += 1
    return dropped


def remove_strays(folders: list[str]) -> int:
    """Remove those of the folders that no living file owns."""
    keys = {f"{folder}/{storage.ORIGINAL}": folder for folder in folders}
    owned = set(MediaAsset.objects.with_files().filter(storage_key__in=keys).values_list("storage_key", flat=True))
    strays = [folder for key, folder in keys.items() if key not in owned]
    removed = 0
    for folder in strays:
        try:
            storage.remove_folder(folder)
        except Exception:
            logger.exception("the stray folder %s could not be removed", folder)
        else:
            removed += 1
    return removed
