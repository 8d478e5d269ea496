"""What a signed address opens: a variant's one file or, of HLS, a playlist or a segment stored beside it.

A playlist names its parts by plain file names. Each reader gets it with signed addresses in their place, for the same
viewer and until the same moment as the address it came by: a player that plays longer asks for a new one.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from media import conf
from media.models.variants import MediaVariant
from media.selectors import variant_to_deliver

PLAYLIST = "application/vnd.apple.mpegurl"
SEGMENT = "video/mp2t"
EXTENSIONS = {"image/webp": "webp", "video/mp4": "mp4", "audio/mpeg": "mp3", PLAYLIST: "m3u8", SEGMENT: "ts"}
PART = re.compile(r"hls(?P<rung>_[0-9]{3,4})(?P<segment>_[0-9]{5})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Delivered:
    """One stored file and what it is."""

    storage_key: str
    mime: str

    @property
    def is_playlist(self) -> bool:
        """Whether it names other files."""
        return self.mime == PLAYLIST

    @property
    def headers(self) -> dict[str, str]:
        """What goes with the bytes; the name is always the same, whatever its owner called the file."""
        return {**conf.LOCKED_DOWN, "Content-Disposition": f'inline; filename="media.{EXTENSIONS[self.mime]}"'}


def file_to_deliver(*, media_id: UUID, name: str) -> Delivered | None:
    """The file behind a name in an address; None when nothing may be shown under it now."""
    part = PART.fullmatch(name)
    if part is None:
        found = variant_to_deliver(media_id=media_id, name=name)
        return Delivered(found.storage_key, found.mime) if found else None
    whole = variant_to_deliver(media_id=media_id, name=MediaVariant.Name.HLS)
    if whole is None:
        return None
    mime = SEGMENT if part["segment"] else PLAYLIST
    return Delivered(f"{whole.storage_key}{name.removeprefix('hls')}.{EXTENSIONS[mime]}", mime)


def with_addresses(playlist: str, address_of: Callable[[str], str]) -> str:
    """The playlist with an address in the place of each file name; `address_of` is given the name without extension."""
    lines = [line if not line or line.startswith("#") else address_of(stem(line)) for line in playlist.splitlines()]
    return "\n".join(lines) + "\n"


def stem(file_name: str) -> str:
    """The name by which a part is asked for; raises ValueError for a line that we did not write."""
    name, _, _ = file_name.partition(".")
    if not PART.fullmatch(name):
        raise ValueError(f"{file_name!r} is no part of a playlist of ours")
    return name
