"""A file comes in."""

import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.core.files import File
from django.db import transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from eventbus.outbox import publish
from media import conf, storage
from media.containers import HEAD_BYTES, container_of
from media.events import MediaUploaded
from media.exceptions import EmptyFileError, FileTooLargeError, TypeNotAllowedError
from media.images import sniff
from media.models.assets import MediaAsset
from media.services.quotas import lock_quota, refuse_over_quota

MIME = re.compile(r"[a-z0-9!#$&^_.+-]{1,40}/[a-z0-9!#$&^_.+-]{1,59}", re.ASCII)
UNKNOWN_MIME = "application/octet-stream"
# Direction marks make `gpj.exe` read `exe.jpg`; controls break the lines of headers and logs.
UNPRINTABLE = ("Cc", "Cf", "Cs", "Zl", "Zp")


def store_upload(
    *, owner_id: UUID, kind: str, file: "File[Any]", sha256: str, filename: str, declared_mime: str
) -> MediaAsset:
    """Keep an uploaded file: the bytes first, durably, then the row and the news of it together."""
    with stored_file(
        owner_id=owner_id, kind=kind, file=file, sha256=sha256, filename=filename, declared_mime=declared_mime
    ) as asset:
        return record_upload(asset=asset)


@contextmanager
def stored_file(
    *, owner_id: UUID, kind: str, file: "File[Any]", sha256: str, filename: str, declared_mime: str
) -> Iterator[MediaAsset]:
    """The row to record of a file whose bytes are in the store; they are removed when it is not recorded."""
    now = timezone.now()
    refuse_unfit_file(file, kind=kind)
    refuse_over_quota(owner_id=owner_id, size_bytes=file.size, now=now)
    media_id = uuid7()
    asset = MediaAsset(
        id=media_id,
        owner_id=owner_id,
        kind=kind,
        original_filename=display_name(filename),
        declared_mime=mime_or_unknown(declared_mime),
        size_bytes=file.size,
        sha256=sha256,
        storage_key=storage.original_key(media_id, at=now),
        orphaned_at=now,
        collect_after=now + conf.unused_grace(),
        deletion_reason=MediaAsset.DeletionReason.ORPHANED,
        created_at=now,
    )
    storage.store(asset.storage_key, file)
    try:
        yield asset
    except BaseException:
        storage.remove_folder(asset.folder)
        raise


@transaction.atomic
def record_upload(*, asset: MediaAsset) -> MediaAsset:
    """The stored file becomes known, and everybody hears of it."""
    lock_quota(owner_id=asset.owner_id)
    refuse_over_quota(owner_id=asset.owner_id, size_bytes=asset.size_bytes, now=asset.created_at)
    asset.save(force_insert=True)
    publish(MediaUploaded.of(asset))
    return asset


def refuse_unfit_file(file: "File[Any]", *, kind: str) -> None:
    """Raise for a file of a kind that is not taken, that is empty, too large, or not of its kind by its first bytes."""
    refuse_unfit_size(kind=kind, size_bytes=file.size)
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if not looks_like(head, kind):
        raise TypeNotAllowedError


def looks_like(head: bytes, kind: str) -> bool:
    """Whether the first bytes are those of a file of this kind; what the rest is, the workers find out."""
    if kind == MediaAsset.Kind.IMAGE:
        return sniff(head) is not None
    container = container_of(head)
    return container is not None and container.holds(kind)


def refuse_unfit_size(*, kind: str, size_bytes: int) -> None:
    """Raise for a kind that is not taken, and for a size that no file of the kind may have."""
    if kind not in MediaAsset.Kind.values:
        raise TypeNotAllowedError
    if not size_bytes:
        raise EmptyFileError
    if size_bytes > conf.max_bytes(kind):
        raise FileTooLargeError(f"A file of this kind may have {conf.max_bytes(kind)} bytes")


def display_name(filename: str) -> str:
    """The file's name as its owner may see it again; it is shown and never used."""
    name = unicodedata.normalize("NFC", filename.replace("\\", "/").rpartition("/")[2])
    return "".join(letter for letter in name if unicodedata.category(letter) not in UNPRINTABLE).strip()[:255]


def mime_or_unknown(declared: str) -> str:
    """What the client says the type is, if it is a type at all; nothing is decided by it."""
    declared = declared.partition(";")[0].strip().lower()
    return declared if MIME.fullmatch(declared) else UNKNOWN_MIME
