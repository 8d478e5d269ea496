"""What media tells the other rooms: a file came, was made fit to show, went."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from eventbus.events import Event, Wire, WireEnum, event, field

if TYPE_CHECKING:
    from media.models.assets import MediaAsset
    from media.models.variants import MediaVariant


class MediaKind(WireEnum):
    """What a file is."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"


class ProcessingStatus(WireEnum):
    """How processing ended."""

    READY = "ready"
    REJECTED = "rejected"
    FAILED = "failed"


class ProcessingFailure(WireEnum):
    """Why a file cannot be shown."""

    TYPE_MISMATCH = "type_mismatch"
    INFECTED = "infected"
    TOO_LARGE = "too_large"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_LONG = "too_long"
    CORRUPT = "corrupt"
    UNSUPPORTED = "unsupported"
    TIMEOUT = "timeout"
    INTERNAL = "internal"


class MediaDeletionReason(WireEnum):
    """Why a file was deleted."""

    OWNER_REQUEST = "owner_request"
    ORPHANED = "orphaned"
    POST_DELETED = "post_deleted"
    POLICY = "policy"
    ACCOUNT_CLOSED = "account_closed"


class Variant(Wire):
    """One rendition of a file: sizes in pixels and bytes, duration in milliseconds."""

    name: str
    mime: str = field(name="mimeType")
    width: int | None
    height: int | None
    size_bytes: int = field(name="fileSize")
    duration_ms: int | None

    @classmethod
    def of(cls, variant: "MediaVariant") -> Self:
        """This variant; an image has no duration, a recording no size in pixels."""
        return cls(
            name=variant.name,
            mime=variant.mime,
            width=variant.width,
            height=variant.height,
            size_bytes=variant.size_bytes,
            duration_ms=variant.duration_ms,
        )


@event("media.uploaded", version="1.0", key="media_id", aggregate="media")
class MediaUploaded(Event):
    """A file is stored whole; `storage_ref` is an opaque key, not an address."""

    media_id: UUID
    owner_id: UUID = field(name="userId")
    kind: MediaKind
    declared_mime: str = field(name="mimeType")
    size_bytes: int = field(name="fileSize")
    sha256: str | None
    storage_ref: str = field(name="storageKey")
    uploaded_at: datetime

    @classmethod
    def of(cls, asset: "MediaAsset") -> Self:
        """The arrival of this file."""
        return cls(
            sequence=asset.sequence,
            media_id=asset.pk,
            owner_id=asset.owner_id,
            kind=MediaKind(asset.kind),
            declared_mime=asset.declared_mime,
            size_bytes=asset.size_bytes,
            sha256=asset.sha256,
            storage_ref=asset.storage_key,
            uploaded_at=asset.updated_at,
        )


def named_as_in_uploaded(raw: dict[str, Any]) -> dict[str, Any]:
    """A `media.processed` of version 1 with the names of version 2: type and size are called as in `media.uploaded`."""
    raw["fileSize"] = raw.pop("sizeBytes")
    for variant in raw["variants"]:
        variant["mimeType"] = variant.pop("mime")
        variant["fileSize"] = variant.pop("sizeBytes")
    return raw


@event("media.processed", version="2.1", key="media_id", aggregate="media", upcasters={1: named_as_in_uploaded})
class MediaProcessed(Event):
    """Processing ended: its variants exist, or `failure_code` says why not.

    `placeholder` is what anyone may see of it: a blurred WebP of at most 32 pixels a side, in base64.
    """

    media_id: UUID
    owner_id: UUID = field(name="userId")
    kind: MediaKind
    status: ProcessingStatus
    failure_code: ProcessingFailure | None
    detected_mime: str | None
    width: int | None
    height: int | None
    duration_ms: int | None
    size_bytes: int | None = field(name="fileSize")
    variants: tuple[Variant, ...]
    processing_ms: int
    processed_at: datetime
    placeholder: str | None = None

    @classmethod
    def of(
        cls,
        asset: "MediaAsset",
        *,
        variants: Iterable["MediaVariant"],
        placeholder: str | None,
        processing_ms: int,
        processed_at: datetime,
    ) -> Self:
        """The end of this file's processing."""
        return cls(
            sequence=asset.sequence,
            media_id=asset.pk,
            owner_id=asset.owner_id,
            kind=MediaKind(asset.kind),
            status=ProcessingStatus(asset.status),
            failure_code=ProcessingFailure(asset.failure_code) if asset.failure_code else None,
            detected_mime=asset.detected_mime,
            width=asset.width,
            height=asset.height,
            duration_ms=asset.duration_ms,
            size_bytes=asset.size_bytes,
            variants=tuple(Variant.of(variant) for variant in variants),
            processing_ms=processing_ms,
            processed_at=processed_at,
            placeholder=placeholder,
        )


@event("media.deleted", version="1.0", key="media_id", aggregate="media")
class MediaDeleted(Event):
    """A file and all its renditions are gone; the last event of its aggregate."""

    media_id: UUID
    owner_id: UUID = field(name="userId")
    kind: MediaKind
    reason: MediaDeletionReason
    deleted_at: datetime

    @classmethod
    def of(cls, asset: "MediaAsset") -> Self:
        """The end of this file; the asset is deleted already."""
        assert asset.deleted_at is not None
        assert asset.deletion_reason is not None
        return cls(
            sequence=asset.sequence,
            media_id=asset.pk,
            owner_id=asset.owner_id,
            kind=MediaKind(asset.kind),
            reason=MediaDeletionReason(asset.deletion_reason),
            deleted_at=asset.deleted_at,
        )
