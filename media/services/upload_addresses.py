"""Where an announced file is brought, whole or in parts: to the bucket, or to routes of ours that do the same."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.core import signing
from django.core.files import File
from django.utils import timezone

from media import conf, storage
from media.exceptions import AlreadyUploadedError, FileTooLargeError, UploadExpiredError, UploadRefusedError
from media.models.assets import MediaAsset
from media.parts import PartBody, StoredPart, sizes_of_parts

SALT = "media-upload"
PART_SALT = "media-upload-part"
FILE_ROUTE = "/api/v1/media/uploads/{}/file"
PART_ROUTE = "/api/v1/media/uploads/{}/parts/{}"


@dataclass(frozen=True, slots=True)
class PartAddress:
    """Where one part is put, and what has come of it."""

    number: int
    size_bytes: int
    url: str
    etag: str | None


@dataclass(frozen=True, slots=True)
class UploadTarget:
    """How one file is brought, and until when: post `fields` and the file to `url`, or put each part to its own."""

    method: str
    expires_at: datetime
    url: str | None = None
    fields: dict[str, str] | None = None
    parts: tuple[PartAddress, ...] = ()
    received_bytes: int = 0


def new_target(*, asset: MediaAsset) -> UploadTarget:
    """How a file is brought of which nothing has come; asks no store."""
    return parts_target(asset, stored=[]) if asset.part_bytes else form_target(asset, received_bytes=0)


def present_target(*, asset: MediaAsset) -> UploadTarget:
    """How the rest of an awaited file is brought, and what has come; a refused one begins anew."""
    if asset.status == MediaAsset.Status.EXPIRED:
        raise UploadExpiredError
    if not asset.is_pending:
        raise AlreadyUploadedError
    if not asset.part_bytes:
        return form_target(asset, received_bytes=storage.size_of(asset.incoming_key) or 0)
    asset = with_open_parts(asset)
    try:
        stored = storage.parts_of(asset.incoming_key, asset.multipart_id)
    except FileNotFoundError as error:  # joined a moment ago: the request that does it says how it went
        raise AlreadyUploadedError from error
    return parts_target(asset, stored=stored)


def with_open_parts(asset: MediaAsset) -> MediaAsset:
    """The awaited file with an upload in parts that takes them; of two requests that open one, one is used."""
    if asset.multipart_id:
        return asset
    opened = storage.open_parts(asset.incoming_key)
    awaited = MediaAsset.objects.filter(pk=asset.pk, status=MediaAsset.Status.PENDING_UPLOAD, multipart_id="")
    if not awaited.update(multipart_id=opened):
        storage.drop_parts(asset.incoming_key, opened)
    opened_by_somebody = MediaAsset.objects.get(pk=asset.pk)
    if not opened_by_somebody.multipart_id:
        raise UploadExpiredError
    return opened_by_somebody


def form_target(asset: MediaAsset, *, received_bytes: int) -> UploadTarget:
    """The form of a file that comes whole."""
    ttl = conf.upload_lifetime()
    bucket = storage.bucket()
    if bucket is None:
        url = FILE_ROUTE.format(asset.pk)
        fields = {"policy": signing.dumps({"id": str(asset.pk), "max": asset.size_bytes}, salt=SALT)}
    else:
        url, fields = bucket.form_for(asset.incoming_key, size_bytes=asset.size_bytes, ttl=ttl)
    return UploadTarget(
        method="POST", expires_at=timezone.now() + ttl, url=url, fields=fields, received_bytes=received_bytes
    )


def parts_target(asset: MediaAsset, *, stored: list[StoredPart]) -> UploadTarget:
    """An address for each part of a file, with what has come of it."""
    sizes = sizes_of_parts(asset.size_bytes, part_bytes=asset.part_bytes or asset.size_bytes)
    come = {part.number: part for part in stored if part.size_bytes == sizes.get(part.number)}
    return UploadTarget(
        method="PUT",
        expires_at=timezone.now() + conf.upload_lifetime(),
        parts=tuple(
            PartAddress(
                number=number,
                size_bytes=size_bytes,
                url=part_address(asset, number=number, size_bytes=size_bytes),
                etag=come[number].etag if number in come else None,
            )
            for number, size_bytes in sizes.items()
        ),
        received_bytes=sum(part.size_bytes for part in come.values()),
    )


def part_address(asset: MediaAsset, *, number: int, size_bytes: int) -> str:
    """A signed address that takes this part only, with exactly its size."""
    bucket = storage.bucket()
    if bucket is not None:
        ttl = conf.upload_lifetime()
        key = asset.incoming_key
        return bucket.address_of_part(key, asset.multipart_id, number=number, size_bytes=size_bytes, ttl=ttl)
    allowed = {"id": str(asset.pk), "upload": asset.multipart_id, "part": number, "size": size_bytes}
    return f"{PART_ROUTE.format(asset.pk, number)}?{urlencode({'policy': signing.dumps(allowed, salt=PART_SALT)})}"


def receive(*, media_id: UUID, policy: str, file: "File[Any]") -> None:
    """Put what was posted to our route under the file's incoming key, as a bucket would; again replaces it."""
    allowed = verified(policy, salt=SALT)
    if allowed["id"] != str(media_id):
        raise UploadRefusedError
    if file.size > allowed["max"]:
        raise FileTooLargeError(f"{allowed['max']} bytes were announced")
    storage.store(awaited(media_id).incoming_key, file)


def receive_part(*, media_id: UUID, number: int, policy: str, stream: Any) -> str:
    """Keep one part that was put to our route, as a bucket would; its tag. Again replaces it."""
    allowed = verified(policy, salt=PART_SALT)
    if (allowed["id"], allowed["part"]) != (str(media_id), number):
        raise UploadRefusedError
    asset = awaited(media_id)
    try:
        return storage.private_storage.keep_part(
            asset.incoming_key, allowed["upload"], number, PartBody(stream, size_bytes=allowed["size"])
        )
    except FileNotFoundError as error:  # joined, given up, or begun anew since the address was issued
        raise UploadExpiredError from error


def verified(policy: str, *, salt: str) -> Any:
    """What a policy of ours allows; raises UploadRefusedError."""
    try:
        return signing.loads(policy, salt=salt, max_age=conf.upload_lifetime())
    except signing.BadSignature as error:
        raise UploadRefusedError from error


def awaited(media_id: UUID) -> MediaAsset:
    """The file, if its owner may still bring it."""
    asset = MediaAsset.objects.filter(pk=media_id).first()
    if asset is None or not asset.is_pending:
        raise UploadExpiredError
    return asset
