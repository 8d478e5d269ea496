"""A file that its owner brings straight to the store: announced, brought to a signed address, checked, taken in."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core import signing
from django.core.files import File
from django.db import transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from eventbus.outbox import publish
from media import conf, storage
from media.containers import HEAD_BYTES
from media.events import MediaUploaded
from media.exceptions import (
    ChecksumMismatchError,
    FileTooLargeError,
    NotUploadedError,
    SizeMismatchError,
    TypeNotAllowedError,
    UploadBusyError,
    UploadExpiredError,
    UploadRefusedError,
)
from media.models import MediaAsset
from media.services.uploads import display_name, looks_like, mime_or_unknown, refuse_over_quota, refuse_unfit_size

SALT = "media-upload"
FILE_ROUTE = "/api/v1/media/uploads/{}/file"
CHECK_LEASE = timedelta(minutes=5)  # far longer than any request lives
CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class UploadForm:
    """A form that brings one file to one key: where it is posted, what stands before the file, and until when."""

    url: str
    fields: dict[str, str]
    expires_at: datetime
    method: str = "POST"


@transaction.atomic
def announce_upload(
    *, owner_id: UUID, kind: str, filename: str, declared_mime: str, size_bytes: int, sha256: str | None
) -> MediaAsset:
    """Expect a file under a key of ours, if it may come at all; nobody is told before it has come."""
    now = timezone.now()
    refuse_unfit_size(kind=kind, size_bytes=size_bytes)
    refuse_over_quota(owner_id=owner_id, size_bytes=size_bytes, now=now)
    media_id = uuid7()
    return MediaAsset.objects.create(
        id=media_id,
        owner_id=owner_id,
        kind=kind,
        status=MediaAsset.Status.PENDING_UPLOAD,
        original_filename=display_name(filename),
        declared_mime=mime_or_unknown(declared_mime),
        size_bytes=size_bytes,
        sha256=sha256,
        storage_key=storage.original_key(media_id, at=now),
        upload_expires_at=now + conf.upload_patience(),
        orphaned_at=now,
        collect_after=now + conf.unused_grace(),
        deletion_reason=MediaAsset.DeletionReason.ORPHANED,
        created_at=now,
    )


def form_for(*, asset: MediaAsset) -> UploadForm:
    """The form of an announced file: the bucket's own, or one for our route that says the same."""
    ttl = conf.upload_lifetime()
    expires_at = timezone.now() + ttl
    bucket = storage.bucket()
    if bucket is None:
        policy = signing.dumps({"id": str(asset.pk), "max": asset.size_bytes}, salt=SALT)
        return UploadForm(url=FILE_ROUTE.format(asset.pk), fields={"policy": policy}, expires_at=expires_at)
    url, fields = bucket.form_for(asset.incoming_key, size_bytes=asset.size_bytes, ttl=ttl)
    return UploadForm(url=url, fields=fields, expires_at=expires_at)


def receive(*, media_id: UUID, policy: str, file: "File[Any]") -> None:
    """Put what was posted to our route under the file's incoming key, as a bucket would; again replaces it."""
    try:
        allowed = signing.loads(policy, salt=SALT, max_age=conf.upload_lifetime())
    except signing.BadSignature as error:
        raise UploadRefusedError from error
    if allowed["id"] != str(media_id):
        raise UploadRefusedError
    if file.size > allowed["max"]:
        raise FileTooLargeError(f"{allowed['max']} bytes were announced")
    asset = MediaAsset.objects.filter(pk=media_id).first()
    if asset is None or not asset.is_pending:
        raise UploadExpiredError
    storage.store(asset.incoming_key, file)


def complete_upload(*, media_id: UUID) -> MediaAsset:
    """Take a brought file in, if it is what was announced; again answers with the file as it stands.

    The file is moved to a key that no signed form names before anybody looks at it: what is checked is what is kept.
    A refused one is removed, and may be brought again while its form is good.
    """
    asset = claim_check(media_id=media_id)
    if not asset.is_pending:
        return asset
    try:
        take_incoming(asset)
        size_bytes, sha256 = check(asset)
    except BaseException:
        MediaAsset.objects.filter(pk=media_id).update(upload_checked_until=None)
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
    if asset.collect_after is not None:
        asset.collect_after = now + conf.unused_grace()
    asset.save(update_fields=MediaAsset.ARRIVAL_FIELDS)
    publish(MediaUploaded.of(asset))
    return asset
