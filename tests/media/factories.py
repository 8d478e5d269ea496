"""Real images, made as they are needed, and files in every state."""

import hashlib
import io
import struct
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from django.core.files.base import ContentFile
from PIL import Image, ImageCms
from uuid_utils.compat import uuid7

from content.events import ContentType, PostCreated, PostDeleted, PostUpdated, Visibility
from media.models.assets import MediaAsset
from media.services.processing import begin_processing, claim_attempt, work_on
from media.services.uploads import store_upload

MARK = b"PAYLOAD-7f3a"
GPS_TAG, ARTIST_TAG, ORIENTATION_TAG = 0x8825, 0x013B, 0x0112
POSTED_AT = datetime(2026, 5, 1, 12, tzinfo=UTC)


def picture(width: int = 60, height: int = 40, mode: str = "RGB") -> Image.Image:
    """Left half red, right half blue: which way is up can be told."""
    image = Image.new("RGB", (width, height), (220, 20, 20))
    image.paste((20, 20, 220), (width // 2, 0, width, height))
    return image.convert(mode)


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """The image's file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def jpeg(width: int = 60, height: int = 40, **options: object) -> bytes:
    """A photograph."""
    return encoded(picture(width, height), "JPEG", **options)


def exif(orientation: int = 1) -> Image.Exif:
    """What a telephone writes: where it was, who held it, and how."""
    data = Image.Exif()
    data[ORIENTATION_TAG] = orientation
    data[ARTIST_TAG] = MARK.decode()
    data.get_ifd(GPS_TAG)[2] = (52.0, 31.0, 12.5)
    return data


def gif(frames: int, **options: object) -> bytes:
    """An animation whose frames all differ."""
    images = [Image.new("P", (8, 8), number % 250) for number in range(frames)]
    return encoded(images[0], "GIF", save_all=True, append_images=images[1:], **options)


def png_claiming(width: int, height: int) -> bytes:
    """A tiny file that promises this many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + png_chunk(b"IEND", b"")
    )


def png_chunk(name: bytes, data: bytes) -> bytes:
    """One chunk of a PNG with its checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def colour_profile() -> bytes:
    """A small ICC profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def upload(content: bytes | None = None, *, owner_id: UUID | None = None, **changes: str) -> MediaAsset:
    """A file that has just come."""
    content = jpeg() if content is None else content
    values = {"kind": "image", "filename": "photo.jpg", "declared_mime": "image/jpeg", **changes}
    return store_upload(
        owner_id=owner_id or uuid7(), file=ContentFile(content), sha256=hashlib.sha256(content).hexdigest(), **values
    )


def scanning(content: bytes | None = None, **changes: object) -> MediaAsset:
    """A file that waits for a worker."""
    asset = upload(content, **changes)
    begin_processing(media_id=asset.pk)
    asset.refresh_from_db()
    return asset


def process(*, media_id: UUID) -> MediaAsset | None:
    """One attempt at this file, as a worker makes it whose turn it is."""
    asset = claim_attempt(media_id=media_id)
    return None if asset is None else work_on(asset)


def processed(content: bytes | None = None, **changes: object) -> MediaAsset:
    """A file that a worker is done with."""
    asset = scanning(content, **changes)
    process(media_id=asset.pk)
    asset.refresh_from_db()
    return asset


def post_created(post_id: UUID, media: Iterable[MediaAsset | UUID], *, sequence: int = 1) -> PostCreated:
    """Content's word that a post exists."""
    return PostCreated(
        post_id=post_id,
        creator_id=post_id,
        sequence=sequence,
        content_type=ContentType.IMAGE,
        visibility=Visibility.PUBLIC,
        media_ids=ids(media),
    )


def post_updated(post_id: UUID, media: Iterable[MediaAsset | UUID], *, sequence: int) -> PostUpdated:
    """Content's word that a post changed."""
    return PostUpdated(
        post_id=post_id,
        creator_id=post_id,
        sequence=sequence,
        content_type=ContentType.IMAGE,
        visibility=Visibility.PUBLIC,
        media_ids=ids(media),
        updated_at=POSTED_AT,
    )


def post_deleted(
    post_id: UUID,
    media: Iterable[MediaAsset | UUID],
    *,
    sequence: int = 9,
    retained: Iterable[MediaAsset] = (),
    **changes: object,
) -> PostDeleted:
    """Content's word that a post is gone."""
    return PostDeleted(
        post_id=post_id,
        creator_id=post_id,
        sequence=sequence,
        media_ids=ids(media),
        retained_media_ids=ids(retained),
        deleted_at=POSTED_AT,
        **changes,
    )


def ids(media: Iterable[MediaAsset | UUID]) -> tuple[UUID, ...]:
    """The ids of files."""
    return tuple(each.pk if isinstance(each, MediaAsset) else each for each in media)
