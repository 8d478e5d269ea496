"""How a large file is cut: into parts of one size but for the last, brought in any order and as often as needed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.files import File

from media.exceptions import PartMismatchError, PartsMissingError, SizeMismatchError

if TYPE_CHECKING:  # generic to the type checker only
    AnyFile = File[Any]
else:
    AnyFile = File

MOST_PARTS = 1000
NAMED_AT_MOST = 10  # of the missing ones, in a message
CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part that has come. The tag names its bytes: the store makes it, and nobody else reads anything in it."""

    number: int
    size_bytes: int
    etag: str


def part_bytes_for(size_bytes: int, *, wanted: int, least: int) -> int | None:
    """How large the parts of a file are; None when it is no larger than one part and comes whole."""
    if size_bytes <= wanted:
        return None
    return max(wanted, least, -(-size_bytes // MOST_PARTS))


def sizes_of_parts(size_bytes: int, *, part_bytes: int) -> dict[int, int]:
    """How many bytes each part has, by number from 1."""
    starts = range(0, size_bytes, part_bytes)
    return {number: min(part_bytes, size_bytes - start) for number, start in enumerate(starts, start=1)}


def refuse_incomplete(parts: list[StoredPart], *, sizes: dict[int, int], claimed: dict[int, str] | None) -> None:
    """Raise unless each part has come with its size and, when the client names tags, with the one it names."""
    stored = {part.number: part for part in parts}
    missing = [number for number in sizes if number not in stored]
    if missing:
        names = ", ".join(map(str, missing[:NAMED_AT_MOST]))
        raise PartsMissingError(f"{len(missing)} of {len(sizes)} parts have not come, the first: {names}")
    for number, size_bytes in sizes.items():
        if stored[number].size_bytes != size_bytes:
            raise SizeMismatchError(f"Part {number} has {size_bytes} bytes, {stored[number].size_bytes} have come")
    if claimed is None:
        return
    for number in sorted(sizes.keys() | claimed.keys()):
        if number not in sizes or claimed.get(number) != stored[number].etag:
            raise PartMismatchError(f"Part {number} in the store is not the one named")


class PartBody(AnyFile):
    """The body of a request that brings one part: passed on in chunks, refused unless it has the part's size."""

    def __init__(self, stream: Any, *, size_bytes: int) -> None:
        super().__init__(stream, name="part")
        self.stream = stream
        self.size = size_bytes

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """The bytes; raises SizeMismatchError at the first one too many, or when some are missing at the end."""
        left = self.size
        while chunk := self.stream.read(min(chunk_size or CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                raise SizeMismatchError(f"This part has {self.size} bytes")
            yield chunk
        if left:
            raise SizeMismatchError(f"This part has {self.size} bytes, {left} have not come")


class JoinedFiles(AnyFile):
    """Files on disk as one, in their order."""

    def __init__(self, paths: list[Path]) -> None:
        super().__init__(None, name="joined")
        self.paths = paths
        self.size = sum(path.stat().st_size for path in paths)

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """The bytes of each file after those of the one before."""
        for path in self.paths:
            with path.open("rb") as stream:
                while chunk := stream.read(chunk_size or CHUNK):
                    yield chunk
