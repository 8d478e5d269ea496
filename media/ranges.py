"""The part of a file that a request asks for, by RFC 9110: players seek by it.

One range is answered. Several at once, which RFC 9110 lets a server ignore, would have one small request read a file
many times over: the whole is the answer to them, as it is to what is no range of bytes.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from rest_framework.request import Request

from media.exceptions import RangeNotSatisfiableError

CHUNK = 64 * 1024
ONE_RANGE = re.compile(r"bytes=(?P<first>[0-9]{0,19})-(?P<last>[0-9]{0,19})", re.ASCII | re.IGNORECASE)


def asked_range(request: Request, *, size: int) -> range | None:
    """The bytes that are asked for of so many; None for all. Raises RangeNotSatisfiableError when there are none.

    We give no validators, so what comes with If-Range is of another answer than ours.
    """
    found = ONE_RANGE.fullmatch(request.headers.get("Range", "").strip())
    if request.method != "GET" or found is None or "If-Range" in request.headers:
        return None
    first, last = found["first"], found["last"]
    if not first and not last:
        return None
    if not first:
        part = range(max(size - int(last), 0), size)
    elif last and int(last) < int(first):
        return None
    else:
        part = range(int(first), min(int(last) + 1, size) if last else size)
    if not part:
        raise RangeNotSatisfiableError(f"The file has {size} bytes")
    return part


def size_of(stream: IO[bytes]) -> int:
    """How many bytes the file has."""
    return stream.seek(0, os.SEEK_END)


@dataclass(frozen=True, slots=True)
class FilePart:
    """A part of an open file, in chunks; whoever delivers it closes it."""

    stream: IO[bytes]
    part: range

    def __iter__(self) -> Iterator[bytes]:
        self.stream.seek(self.part.start)
        left = len(self.part)
        while left and (chunk := self.stream.read(min(CHUNK, left))):
            left -= len(chunk)
            yield chunk

    def close(self) -> None:
        """Close the file."""
        self.stream.close()
