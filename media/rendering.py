"""Images are drawn by a child process, so that what a decoder is made to do stays there."""

from dataclasses import dataclass

from msgspec import DecodeError, msgpack

from media import conf, images
from media.confined import BROKE, work_in_child
from media.exceptions import ChildDiedError, UnfitMediaError
from media.images import Rendered
from media.models.assets import MediaAsset


@dataclass(frozen=True, slots=True)
class Answer:
    """What the child says: the drawings, or why there will be none."""

    rendered: Rendered | None = None
    failure: str = ""
    detail: str = ""


def render(content: bytes) -> Rendered:
    """All variants of an image; raises UnfitMediaError when it must not or cannot be shown, and what a child raises."""
    answer = work_in_child(lambda: msgpack.encode(answer_of(content)), conf.image_limits())
    try:
        said = msgpack.decode(answer, type=Answer)
        if said.rendered is None:
            raise UnfitMediaError(MediaAsset.Failure(said.failure), said.detail)
    except (DecodeError, ValueError) as error:
        raise ChildDiedError(BROKE, "it did not answer as it should") from error
    return said.rendered


def answer_of(content: bytes) -> Answer:
    """The child's part."""
    try:
        return Answer(rendered=images.render(content))
    except UnfitMediaError as error:
        return Answer(failure=str(error.failure), detail=str(error))
