"""A file that its owner brings straight to the store: announced, brought to a signed address, checked, taken in."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from eventbus.exceptions import DomainError
from eventbus.outbox import publish
from media import conf, storage
from media.containers import HEAD_BYTES
from media.events import MediaUploaded
from media.exceptions import (
    ChecksumMismatchError,
    NotUploadedError,
    SizeMismatchError,
    TypeNotAllowedError,
    UploadBusyError,
    UploadExpiredError,
)
from media.models.assets import MediaAsset
from media.parts import part_bytes_for, refuse_incomplete, sizes_of_parts
from media.services.quotas import lock_quota, refuse_over_quota
from media.services.uploads import display_name, looks_like, mime_or_unknown, refuse_unfit_size

CHECK_LEASE = timedelta(minutes=5)  # far longer than any request lives
CHUNK = 1024 * 1024


@contextmanager
def file_to_announce(
    *, owner_id: UUID, kind: str, filename: str, declared_mime: str, size_bytes: int, sha256: str | None
) -> Iterator[MediaAsset]:
    """The row of a file to be expected under a key of ours; the store is told first, if it comes in parts."""
    now = timezone.now()
    refuse_unfit_size(kind=kind, size_bytes=size_bytes)
    refuse_over_quota(owner_id=owner_id, size_bytes=size_bytes, now=now)
    media_id = uuid7()
    asset = MediaAsset(
        id=media_id,
        owner_id=owner_id,
        kind=kind,
        status=MediaAsset.Status.PENDING_UPLOAD,
        original_filename=display_name(filename),
        declared_mime=mime_or_unknown(declared_mime),
        size_bytes=size_bytes,
        sha256=sha256,
        storage_key=storage.original_key(media_id, at=now),
        part_bytes=part_bytes_for(size_bytes, wanted=conf.part_bytes(), least=storage.least_part_bytes()),
        upload_expires_at=now + conf.upload_patience(),
        orphaned_at=now,
        collect_after=now + conf.unused_grace(),
        deletion_reason=MediaAsset.DeletionReason.ORPHANED,
        created_at=now,
    )
    if asset.part_bytes:
        asset.multipart_id = storage.open_parts(asset.incoming_key)
    try:
        yield asset
    except BaseException:
        if asset.multipart_id:
            storage.drop_parts(asset.incoming_key, asset.multipart_id)
        raise


@transaction.atomic
def announce_upload(*, asset: MediaAsset) -> MediaAsset:
    """Expect the file; nobody is told before it has come."""
    lock_quota(owner_id=asset.owner_id)
    refuse_over_quota(owner_id=asset.owner_id, size_bytes=asset.size_bytes, now=asset.created_at)
    asset.save(force_insert=True)
    return asset


def complete_upload(*, media_id: UUID, parts: dict[int, str] | None = None) -> MediaAsset:
    """Take a brought file in, if it is what was announced; again answers with the file as it stands.

    The file is moved to a key that no signed address names before anybody looks at it: what is checked is what is kept.
    A refused one is removed, and may be brought again. `parts` are the tags of the parts, if the client names them.
    """
    asset = claim_check(media_id=media_id)
    if not asset.is_pending:
        return asset
    try:
        join_parts(asset, claimed=parts)
        take_incoming(asset)
        size_bytes, sha256 = check(asset)
    except BaseException as error:
        refusal = error.code if isinstance(error, DomainError) else None
        MediaAsset.objects.filter(pk=media_id).update(upload_checked_until=None, upload_refusal=refusal)
        raise
    asset = record_arrival(media_id=media_id, size_bytes=size_bytes, sha256=sha256)
    if asset.status == MediaAsset.Status.EXPIRED:
        raise UploadExpiredError
    return asset


@transaction.atomic
def claim_check(*, media_id: UUID) -> MediaAsset:
    """The file, and if it is awaited, the right to check it, which one request has at a time."""
    now = timezone.now()
    asset = MediaAsset.objects.select_for_update().get(pk=media_id)
    if asset.status == MediaAsset.Status.EXPIRED:
        raise UploadExpiredError
    if not asset.is_pending:
        return asset
    if asset.upload_expires_at is not None and asset.upload_expires_at <= now:
        raise UploadExpiredError
    if asset.upload_checked_until is not None and asset.upload_checked_until > now:
        raise UploadBusyError
    asset.upload_checked_until = now + CHECK_LEASE
    asset.save(update_fields=["upload_checked_until", "updated_at"])
    return asset


def join_parts(asset: MediaAsset, *, claimed: dict[int, str] | None) -> None:
    """Make the incoming file of its parts, if it comes in parts; an earlier request may have done so and died."""
    if not asset.part_bytes:
        return
    try:
        stored = storage.parts_of(asset.incoming_key, asset.multipart_id) if asset.multipart_id else []
        if not stored and brought_whole(asset):
            return
        sizes = sizes_of_parts(asset.size_bytes, part_bytes=asset.part_bytes)
        refuse_incomplete(stored, sizes=sizes, claimed=claimed)
        storage.join_parts(asset.incoming_key, asset.multipart_id, [part for part in stored if part.number in sizes])
    except FileNotFoundError as error:
        if not brought_whole(asset):
            raise NotUploadedError from error


def brought_whole(asset: MediaAsset) -> bool:
    """Whether the file is in the store, be it where it came or where it stays."""
    return any(storage.size_of(key) is not None for key in (asset.incoming_key, asset.storage_key))


def take_incoming(asset: MediaAsset) -> None:
    """Move what was brought out of its owner's reach; an earlier request may have done so and died."""
    try:
        storage.move(asset.incoming_key, asset.storage_key)
    except FileNotFoundError as error:
        if storage.size_of(asset.storage_key) is None:
            raise NotUploadedError from error


def check(asset: MediaAsset) -> tuple[int, str]:
    """The size and SHA-256 of what was brought; raises, and removes it, if it is not what was announced."""
    try:
        return compare(asset)
    except (SizeMismatchError, ChecksumMismatchError, TypeNotAllowedError):
        storage.remove(asset.storage_key)
        MediaAsset.objects.filter(pk=asset.pk).update(multipart_id="")  # its parts went into what is removed
        raise


def compare(asset: MediaAsset) -> tuple[int, str]:
    """The size and SHA-256 of what was brought; raises if it is not what was announced, or of no type that is taken."""
    size_bytes = storage.size_of(asset.storage_key) or 0
    if not 0 < size_bytes <= min(asset.size_bytes, conf.max_bytes(asset.kind)):
        raise SizeMismatchError(f"{asset.size_bytes} bytes were announced, {size_bytes} have come")
    digest = hashlib.sha256()
    with storage.open_stored(asset.storage_key) as stream:
        head = stream.read(HEAD_BYTES)
        digest.update(head)
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    if asset.sha256 not in (None, digest.hexdigest()):
        raise ChecksumMismatchError
    if not looks_like(head, asset.kind):
        raise TypeNotAllowedError
    return size_bytes, digest.hexdigest()


@transaction.atomic
def record_arrival(*, media_id: UUID, size_bytes: int, sha256: str) -> MediaAsset:
    """The file is there, and everybody hears of it, unless it was given up meanwhile."""
    now = timezone.now()
    asset = MediaAsset.objects.select_for_update().get(pk=media_id)
    if asset.status == MediaAsset.Status.EXPIRED:  # its folder may have been emptied before the file was moved
        asset.files_removed_at = None
        asset.save(update_fields=["files_removed_at", "updated_at"])
    if not asset.is_pending:
        return asset
    asset.status = MediaAsset.Status.UPLOADED
    asset.size_bytes = size_bytes
    asset.sha256 = sha256
    asset.upload_expires_at = None
    asset.upload_checked_until = None
    asset.upload_refusal = None
    asset.multipart_id = ""
    if asset.collect_after is not None:
        asset.collect_after = now + conf.unused_grace()
    asset.save(update_fields=MediaAsset.ARRIVAL_FIELDS)
    publish(MediaUploaded.of(asset))
    return asset
