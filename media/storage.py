"""Where the bytes are: private, addressed by keys that only this room makes, never by anything a user wrote.

    {yyyy}/{mm}/{media id}/original
    {yyyy}/{mm}/{media id}/variants/{name}

A file appears under its key whole and on disk, or not at all.
"""

import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, NoReturn
from uuid import UUID

from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage

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


private_storage = PrivateStorage()


def original_key(media_id: UUID, *, at: datetime) -> str:
    """The key of a new upload."""
    return f"{at:%Y/%m}/{media_id}/{ORIGINAL}"


def store(key: str, content: "File[Any] | bytes") -> None:
    """Keep these bytes under the key; on return they survive a power cut. The same key again replaces them."""
    private_storage.save(key, ContentFile(content) if isinstance(content, bytes) else content)


def open_stored(key: str) -> IO[bytes]:
    """The bytes under the key, as a stream; raises FileNotFoundError."""
    return private_storage.open(key, "rb")


def remove_folder(folder: str) -> None:
    """Remove everything under the folder, and it; what is gone already does not matter."""
    try:
        folders, files = private_storage.listdir(folder)
    except FileNotFoundError:
        return
    for name in files:
        private_storage.delete(f"{folder}/{name}")
    for name in folders:
        remove_folder(f"{folder}/{name}")
    private_storage.delete(folder)


def folders_older_than(age: timedelta, *, now: datetime) -> Iterator[str]:
    """The folders of all files, `{yyyy}/{mm}/{media id}`, that were last touched longer ago than this."""
    for year in subfolders(""):
        for month in subfolders(year):
            for folder in subfolders(f"{year}/{month}"):
                path = f"{year}/{month}/{folder}"
                if touched_at(path) < now - age:
                    yield path


def subfolders(folder: str) -> list[str]:
    """The names of the folders inside a folder, sorted; none when it is not there."""
    try:
        return sorted(private_storage.listdir(folder)[0])
    except FileNotFoundError:
        return []


def touched_at(folder: str) -> datetime:
    """When something was last put into the folder; now if it has just gone."""
    try:
        return datetime.fromtimestamp(Path(private_storage.path(folder)).stat().st_mtime, tz=UTC)
    except FileNotFoundError:
        return datetime.now(tz=UTC)


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
