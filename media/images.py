"""From bytes that a stranger sent to pixels that may be shown.

Nothing of a file ever reaches a variant but its pixels: each is drawn anew and encoded as WebP, without EXIF, GPS, ICC
profile, comments or whatever was appended. Of an animation the first frame is shown.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image, ImageCms, ImageFilter

from media import conf
from media.exceptions import UnfitMediaError
from media.frames import has_more_frames_than
from media.models.assets import MediaAsset
from media.models.variants import MediaVariant

Failure = MediaAsset.Failure
Name = MediaVariant.Name

FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}
HEAD_BYTES = 16
VARIANT_MIME = "image/webp"
LARGEST = 2048
SIDES = {Name.THUMB_320: 320, Name.WEB_1280: 1280, Name.WEB_2048: LARGEST, Name.BLUR: 32}
QUALITY = {Name.THUMB_320: 80, Name.WEB_1280: 84, Name.WEB_2048: 84, Name.BLUR: 40}
BLUR_RADIUS = 1.5
MAX_PROFILE_BYTES = 4 * conf.MEGABYTE  # a printing press's profile has about 2
ORIENTATION = 0x0112  # the EXIF tag
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
LYING = (5, 6, 7, 8)  # orientations that swap width and height
# What Pillow's decoders are known to raise for bytes that are not what they claim to be; OSError covers truncation.
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class Rendition:
    """One variant, drawn and encoded."""

    name: str
    width: int
    height: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Rendered:
    """What became of a file: its real type, its size once turned upright, its variants."""

    detected_mime: str
    width: int
    height: int
    renditions: tuple[Rendition, ...]


def sniff(head: bytes) -> str | None:
    """The image type that the first bytes are of; None when it is none that is taken."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return None


def render(content: bytes) -> Rendered:
    """All variants of an image; raises UnfitMediaError when it must not or cannot be shown."""
    detected = sniff(content[:HEAD_BYTES])
    if detected is None:
        raise UnfitMediaError(Failure.TYPE_MISMATCH, "the bytes are not those of an image")
    with decoding(), Image.open(io.BytesIO(content), formats=[FORMATS[detected]]) as image:
        refuse_too_much_work(image, content)
        orientation = orientation_of(image)
        width, height = image.size
        if orientation in LYING:
            width, height = height, width
        master = master_of(image, orientation)
    return Rendered(detected_mime=detected, width=width, height=height, renditions=renditions(master, width, height))


@contextmanager
def decoding() -> Iterator[None]:
    """Whatever a decoder stumbles over is the file's fault; a bomb is refused before it goes off."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata, which is thrown away here
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            yield
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise UnfitMediaError(Failure.TOO_MANY_PIXELS, str(error)) from error
        except UNREADABLE as error:
            raise UnfitMediaError(Failure.CORRUPT, str(error)) from error


def refuse_too_much_work(image: Image.Image, content: bytes) -> None:
    """Look at what the headers promise before a pixel is decoded."""
    pixels = image.width * image.height
    if pixels > conf.max_image_pixels():
        raise UnfitMediaError(Failure.TOO_MANY_PIXELS, f"{pixels} pixels")
    if has_more_frames_than(conf.max_frames(), image, content):
        raise UnfitMediaError(Failure.TOO_LONG, f"more than {conf.max_frames()} frames")


def orientation_of(image: Image.Image) -> int:
    """How the camera was held; upright when the EXIF cannot be read, for the pixels may be sound."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except UNREADABLE:
        return 1


def master_of(image: Image.Image, orientation: int) -> Image.Image:
    """Upright pixels in standard colours, no larger than the largest variant, with nothing else attached."""
    image.draft(image.mode, (LARGEST, LARGEST))  # a JPEG is decoded at a fraction of its size
    image.load()
    pixels = in_standard_colours(image)
    pixels.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS, reducing_gap=3.0)
    if orientation in UPRIGHT:
        pixels = pixels.transpose(UPRIGHT[orientation])
    bare = Image.new(pixels.mode, pixels.size)
    bare.paste(pixels)
    return bare


def in_standard_colours(image: Image.Image) -> Image.Image:
    """RGB, or RGBA where something shows through; an embedded profile is applied, since it will not be kept."""
    mode = "RGBA" if image.has_transparency_data else "RGB"
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I"):  # 16 bits of grey; convert() would clip them
        image = image.convert("I").point(lambda level: level * (1 / 256)).convert("L")
    elif image.mode in ("P", "PA", "1", "LA"):
        image = image.convert(mode)
    if profile and len(profile) <= MAX_PROFILE_BYTES:
        image = with_profile_applied(image, profile)
    return image if image.mode == mode else image.convert(mode)  # convert() would copy 40 megapixels


def with_profile_applied(image: Image.Image, profile: bytes) -> Image.Image:
    """The image in sRGB; as it is when the profile is broken or belongs to another colour space."""
    try:
        converted = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode="RGBA" if image.mode == "RGBA" else "RGB",
        )
    except (ImageCms.PyCMSError, *UNREADABLE):
        return image
    return converted or image


def renditions(master: Image.Image, width: int, height: int) -> tuple[Rendition, ...]:
    """The variants: never above the source, and no web_2048 that would equal web_1280."""
    names = [Name.BLUR, Name.THUMB_320, Name.WEB_1280]
    if max(width, height) > SIDES[Name.WEB_1280]:
        names.append(Name.WEB_2048)
    return tuple(rendition(master, name) for name in names)


def rendition(master: Image.Image, name: MediaVariant.Name) -> Rendition:
    """One variant of the master."""
    pixels = master.copy()
    pixels.thumbnail((SIDES[name], SIDES[name]), Image.Resampling.LANCZOS)
    if name == Name.BLUR:
        pixels = pixels.filter(ImageFilter.GaussianBlur(BLUR_RADIUS))
    encoded = io.BytesIO()
    pixels.save(encoded, "WEBP", quality=QUALITY[name], method=4)
    return Rendition(name=str(name), width=pixels.width, height=pixels.height, content=encoded.getvalue())
