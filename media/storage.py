"""Where the bytes are: private, addressed by keys that only this room makes, never by anything a user wrote.

    {yyyy}/{mm}/{media id}/incoming    what a direct upload brings, until it is checked
    {yyyy}/{mm}/{media id}/incoming.parts/{upload id}/{number}    on disk only; a bucket keeps parts out of sight
    {yyyy}/{mm}/{media id}/original
    {yyyy}/{mm}/{media id}/variants/{name}

A file appears under its key whole and durably, or not at all. The store is MEDIA_ROOT, or the bucket MEDIA_S3_BUCKET.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, NoReturn
from uuid import UUID, uuid4

from django.conf import settings
from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage

from media.parts import JoinedFiles, StoredPart
from media.s3 import S3Store

INCOMING = "incoming"
ORIGINAL = "original"
UNFINISHED = ".unfinished-"
PARTS = ".parts"
CLOSED = ".closed"


class PrivateStorage(FileSystemStorage):
    """Django's file storage under MEDIA_ROOT: readable by us alone, atomic, durable, without addresses."""

    least_part_bytes = 1

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

    def open_parts(self, key: str) -> str:
        """Begin a file that comes in parts; its upload's id."""
        upload_id = uuid4().hex
        make_folder(Path(self.path(parts_folder(key, upload_id))))
        return upload_id

    def keep_part(self, key: str, upload_id: str, number: int, content: "File[Any]") -> str:
        """Put one part, instead of an earlier one of its number; its tag. FileNotFoundError when the upload is over."""
        name = f"{parts_folder(key, upload_id)}/{number:05}"
        path = Path(self.path(name))
        if not path.parent.is_dir():
            raise FileNotFoundError(name)
        self._save(name, content)
        return tag_of(path)

    def parts_of(self, key: str, upload_id: str) -> list[StoredPart]:
        """The parts that have come, by number; raises FileNotFoundError when the upload is joined or dropped."""
        folder = Path(self.path(parts_folder(key, upload_id)))
        closed = folder.with_name(folder.name + CLOSED)
        paths = sorted((closed if closed.is_dir() else folder).iterdir())
        return [
            StoredPart(int(path.name), path.stat().st_size, tag_of(path))
            for path in paths
            if not path.name.startswith(UNFINISHED)
        ]

    def join_parts(self, key: str, upload_id: str, parts: list[StoredPart]) -> None:
        """Make the file of its parts. The folder is renamed first: what a slow request still writes goes nowhere."""
        folder = parts_folder(key, upload_id)
        closed = folder + CLOSED
        if not Path(self.path(closed)).is_dir():
            Path(self.path(folder)).replace(self.path(closed))
        self.save(key, JoinedFiles([Path(self.path(f"{closed}/{part.number:05}")) for part in parts]))
        self.drop_parts(key, upload_id)

    def drop_parts(self, key: str, upload_id: str) -> None:
        """Give the upload up with what has come of it; again is no error."""
        folder = Path(self.path(parts_folder(key, upload_id)))
        closed = folder.with_name(folder.name + CLOSED)
        if folder.is_dir() and not closed.is_dir():
            folder.replace(closed)
        for path in (closed, folder):  # a part that came late may have made the folder anew
            shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):  # another upload of this key is open, or nothing is there
            folder.parent.rmdir()

    def unfinished_older_than(self, age: timedelta, *, now: datetime) -> Iterator[tuple[str, str]]:
        """The key and id of each upload in parts that began longer ago than this and is not over."""
        root = Path(self.location)
        for folder in sorted(root.glob(f"*/*/*/{INCOMING}{PARTS}/*")):
            if self.touched_at(str(folder.relative_to(root))) < now - age:
                key = str(folder.parent.relative_to(root)).removesuffix(PARTS)
                yield key, folder.name.removesuffix(CLOSED)

    def folders_older_than(self, age: timedelta, *, now: datetime) -> Iterator[str]:
        """The folders of files that were last touched longer ago than this."""
        for year in self.subfolders(""):
            for month in self.subfolders(year):
                for folder in self.subfolders(f"{year}/{month}"):
                    path = f"{year}/{month}/{folder}"
                    if self.touched_at(path) < now - age:
                        yield path

    def keys_in(self, folder: str) -> set[str]:
        """The keys of what is under the folder; parts that wait to be joined are no files yet."""
        root = Path(self.location)
        paths = (path for path in Path(self.path(folder)).rglob("*") if path.is_file())
        return {key for key in (str(path.relative_to(root)) for path in paths) if PARTS not in key}

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


def keys_in(folder: str) -> set[str]:
    """The keys of what is under the folder; parts that wait to be joined are no files yet."""
    return in_use().keys_in(folder)


def remove_folder(folder: str) -> None:
    """Remove everything under the folder, and it; what is gone already does not matter."""
    in_use().remove_folder(folder)


def folders_older_than(age: timedelta, *, now: datetime) -> Iterator[str]:
    """The folders of all files, `{yyyy}/{mm}/{media id}`, that were last touched longer ago than this."""
    return in_use().folders_older_than(age, now=now)


def least_part_bytes() -> int:
    """The smallest size that the store allows parts, but for the last one."""
    return in_use().least_part_bytes


def open_parts(key: str) -> str:
    """Begin a file that comes in parts; its upload's id."""
    return in_use().open_parts(key)


def parts_of(key: str, upload_id: str) -> list[StoredPart]:
    """The parts that have come, by number; raises FileNotFoundError when the upload is joined or dropped."""
    return in_use().parts_of(key, upload_id)


def join_parts(key: str, upload_id: str, parts: list[StoredPart]) -> None:
    """Make the file of all its parts; raises FileNotFoundError when the upload is over."""
    in_use().join_parts(key, upload_id, parts)


def drop_parts(key: str, upload_id: str) -> None:
    """Give an upload in parts up with what has come of it; again is no error."""
    in_use().drop_parts(key, upload_id)


def unfinished_older_than(age: timedelta, *, now: datetime) -> Iterator[tuple[str, str]]:
    """The key and id of each upload in parts that began longer ago than this and is not over."""
    return in_use().unfinished_older_than(age, now=now)


def parts_folder(key: str, upload_id: str) -> str:
    """Where parts wait on disk."""
    return f"{key}{PARTS}/{upload_id}"


def tag_of(path: Path) -> str:
    """What changes whenever other bytes take a part's place: a part is always a new file."""
    found = path.stat()
    return f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"


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
