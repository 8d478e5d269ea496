"""What became of a file: its real type and measures, and the variants that are to be stored."""

from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from media.images import VARIANT_MIME, Rendered
from media.models.variants import MediaVariant


@dataclass(frozen=True, slots=True)
class Product:
    """One variant, made: a file of its name, and those beside it that it names, as an HLS playlist does."""

    name: str
    mime: str
    width: int | None
    height: int | None
    duration_ms: int | None
    files: dict[str, bytes | Path]
    size_bytes: int = field(init=False)  # of all of them, known for as long as the product is: its files go

    def __post_init__(self) -> None:
        size = sum(len(file) if isinstance(file, bytes) else file.stat().st_size for file in self.files.values())
        object.__setattr__(self, "size_bytes", size)


@dataclass(frozen=True, slots=True)
class Made:
    """Everything that a worker found out about a file and made of it."""

    detected_mime: str
    width: int | None
    height: int | None
    duration_ms: int | None
    products: tuple[Product, ...]

    @property
    def placeholder(self) -> str | None:
        """What may be shown to everyone in place of the file: its blur as base64; None of a recording."""
        for product in self.products:
            blur = product.files.get(MediaVariant.Name.BLUR)
            if isinstance(blur, bytes):
                return b64encode(blur).decode()
        return None

    @classmethod
    def of_image(cls, rendered: Rendered) -> Self:
        """An image with its drawings."""
        products = (
            Product(
                name=drawing.name,
                mime=VARIANT_MIME,
                width=drawing.width,
                height=drawing.height,
                duration_ms=None,
                files={drawing.name: drawing.content},
            )
            for drawing in rendered.renditions
        )
        return cls(rendered.detected_mime, rendered.width, rendered.height, None, tuple(products))
