"""Where the bytes are: private, addressed by keys that only this room makes, never by anything a user wrote.

    {yyyy}/{mm}/{media id}/incoming    what a direct upload brings, until it is checked
    {yyyy}/{mm}/{media id}/original
    {yyyy}/{mm}/{media id}/variants/{name}

A file appears under its key whole and durably, or not at all. The store is MEDIA_ROOT, or the bucket MEDIA_S3_BUCKET.
"""

import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, NoReturn
from uuid import UUID

from django.conf import settings
from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage

from media.s3 import S3Store

INCOMING = "incoming"
ORIGINAL = "original"
UNFINISHED = ".unfinished-"


class PrivateStorage(FileSystemStorage):
    """Django's file storage under MEDIA_ROOT: readable by us alone, atomic, durable, without addresses."""

    def __init__(self) -> None:
        super().__init__(file_permissions_mode=0o600, directory_permissions_mode=0o700, allow_overwrite=True)

    def url(self, name: str | None) -> NoReturn:
        """Refused: what is stored here is delivered by signed addresses only."""
        raise NotImplementedError("stored media has no public address")

    def _save(self, name: str, content: "File[Any]") -> str:
        """Write beside the target, sync, move into place: nobody ever sees half a file."""
        target = Path(self.path(name))
        make_folder(target.parent)
        descriptor, unfinished = tempfile.mkstemp(prefix=UNFINISHED, dir=target.parent)  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as stream:
                for chunk in content.chunks():
                    stream.write(chunk)
                stream.flush()
                os.fsync(stream.fileno())
            Path(unfinished).replace(target)
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise
        sync_folder(target.parent)
        return name

    def keep(self, key: str, content: "File[Any]") -> None:
        """Put the bytes under the key."""
        self.save(key, content)

    def size_of(self, key: str) -> int | None:
        """How many bytes are under the key; None when nothing is."""
        try:
            return self.size(key)
        except FileNotFoundError:
            return None

    def move(self, key: str, to: str) -> None:
        """Give the bytes another key in the same folder."""
        target = Path(self.path(to))
        Path(self.path(key)).replace(target)
        sync_folder(target.parent)

    def remove(self, key: str) -> None:
        """Remove what is under the key; nothing there is no error."""
        self.delete(key)

    def remove_folder(self, folder: str) -> None:
        """Remove everything under the folder, and it."""
        try:
            folders, files = self.listdir(folder)
        except FileNotFoundError:
            return
        for name in files:
            self.delete(f"{folder}/{name}")
        for name in folders:
            self.remove_folder(f"{folder}/{name}")
        self.delete(folder)

    def folders_older_than(self, age: timedelta, *, now: datetime) -> Iterator[str]:
        """The folders of files that were last touched longer ago than this."""
        for year in self.subfolders(""):
            for month in self.subfolders(year):
                for folder in self.subfolders(f"{year}/{month}"):
                    path = f"{year}/{month}/{folder}"
                    if self.touched_at(path) < now - age:
                        yield path

    def subfolders(self, folder: str) -> list[str]:
        """The names of the folders inside a folder, sorted; none when it is not there."""
        try:
            return sorted(self.listdir(folder)[0])
        except FileNotFoundError:
            return []

    def touched_at(self, folder: str) -> datetime:
        """When something was last put into the folder; now if it has just gone."""
        try:
            return datetime.fromtimestamp(Path(self.path(folder)).stat().st_mtime, tz=UTC)
        except FileNotFoundError:
            return datetime.now(tz=UTC)


private_storage = PrivateStorage()


def bucket() -> S3Store | None:
    """The S3 store, when one is set up; None means that files are kept under MEDIA_ROOT."""
    if not settings.MEDIA_S3_BUCKET:
        return None
    return connected(
        bucket=settings.MEDIA_S3_BUCKET,
        endpoint=settings.MEDIA_S3_ENDPOINT or None,
        region=settings.MEDIA_S3_REGION,
    )


@lru_cache(maxsize=1)
def connected(*, bucket: str, endpoint: str | None, region: str) -> S3Store:
    """One client for all threads, as boto3 recommends."""
    return S3Store(bucket=bucket, endpoint=endpoint, region=region)


def in_use() -> S3Store | PrivateStorage:
    """The store that files go to."""
    return bucket() or private_storage


def original_key(media_id: UUID, *, at: datetime) -> str:
    """The key of a new upload."""
    return f"{at:%Y/%m}/{media_id}/{ORIGINAL}"


def store(key: str, content: "File[Any] | bytes") -> None:
    """Keep these bytes under the key; on return they survive a power cut. The same key again replaces them."""
    in_use().keep(key, ContentFile(content) if isinstance(content, bytes) else content)


def open_stored(key: str) -> IO[bytes]:
    """The bytes under the key, as a stream; raises FileNotFoundError."""
    return in_use().open(key)


def size_of(key: str) -> int | None:
    """How many bytes are under the key; None when nothing is."""
    return in_use().size_of(key)


def move(key: str, to: str) -> None:
    """Give the bytes another key in the same folder; raises FileNotFoundError."""
    in_use().move(key, to)


def remove(key: str) -> None:
    """Remove what is under the key; what is gone already does not matter."""
    in_use().remove(key)


def remove_folder(folder: str) -> None:
    """Remove everything under the folder, and it; what is gone already does not matter."""
    in_use().remove_folder(folder)


def folders_older_than(age: timedelta, *, now: datetime) -> Iterator[str]:
    """The folders of all files, `{yyyy}/{mm}/{media id}`, that were last touched longer ago than this."""
    return in_use().folders_older_than(age, now=now)


def make_folder(folder: Path) -> None:
    """Make the folder and those above it, for us alone, each durable before the next."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, as its files' bytes do."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
