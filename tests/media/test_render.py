"""What becomes of bytes that strangers send."""

import io
import struct
import zlib

import pytest
from PIL import Image

from media.exceptions import UnfitMediaError
from media.images import render, sniff
from media.models.assets import MediaAsset
from tests.media.factories import (
    MARK,
    colour_profile,
    encoded,
    exif,
    gif,
    jpeg,
    picture,
    png_chunk,
    png_claiming,
)

Failure = MediaAsset.Failure
RED, BLUE = (220, 20, 20), (20, 20, 220)


def variants(content: bytes) -> dict[str, Image.Image]:
    return {rendition.name: Image.open(io.BytesIO(rendition.content)) for rendition in render(content).renditions}


def sizes(content: bytes) -> dict[str, tuple[int, int]]:
    return {name: image.size for name, image in variants(content).items()}


def near(pixel, colour) -> bool:
    return all(abs(have - want) < 45 for have, want in zip(pixel[:3], colour, strict=True))


def refusal(content: bytes) -> Failure:
    with pytest.raises(UnfitMediaError) as caught:
        render(content)
    return caught.value.failure


def test_a_large_photograph_gets_every_variant_at_its_size():
    assert sizes(jpeg(3000, 1500)) == {
        "blur": (32, 16),
        "thumb_320": (320, 160),
        "web_1280": (1280, 640),
        "web_2048": (2048, 1024),
    }


def test_no_variant_is_larger_than_the_source():
    assert sizes(jpeg(200, 100)) == {"blur": (32, 16), "thumb_320": (200, 100), "web_1280": (200, 100)}


def test_a_tall_sliver_keeps_at_least_one_pixel_of_width():
    assert sizes(encoded(Image.new("L", (1, 4000)), "PNG")) == {
        "blur": (1, 32),
        "thumb_320": (1, 320),
        "web_1280": (1, 1280),
        "web_2048": (1, 2048),
    }


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_every_type_taken_becomes_webp(kind):
    rendered = render(encoded(picture(), kind))

    assert rendered.detected_mime == f"image/{kind.lower()}"
    assert (rendered.width, rendered.height) == (60, 40)
    assert {Image.open(io.BytesIO(each.content)).format for each in rendered.renditions} == {"WEBP"}


@pytest.mark.parametrize(
    ("orientation", "size", "left_or_top"),
    [
        *((1, (60, 40), RED), (2, (60, 40), BLUE), (3, (60, 40), BLUE), (4, (60, 40), RED)),
        *((5, (40, 60), RED), (6, (40, 60), RED), (7, (40, 60), BLUE), (8, (40, 60), BLUE)),
    ],
)
def test_a_picture_is_turned_upright_for_good(orientation, size, left_or_top):
    content = jpeg(exif=exif(orientation))

    rendered = render(content)
    image = variants(content)["web_1280"].convert("RGB")

    assert (rendered.width, rendered.height) == size
    assert image.size == size
    assert near(image.getpixel((5, 5)), left_or_top)
    assert image.getexif() == {}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_nothing_but_pixels_survives(kind):
    content = encoded(
        picture(), kind, exif=exif(), icc_profile=colour_profile(), comment=MARK, xmp=b"<x>" + MARK + b"</x>"
    )
    content += b"<script>" + MARK + b"</script>"
    assert MARK in content

    for rendition in render(content).renditions:
        image = Image.open(io.BytesIO(rendition.content))
        assert MARK not in rendition.content
        assert b"script" not in rendition.content
        assert {chunk for chunk in (b"EXIF", b"ICCP", b"XMP ") if chunk in rendition.content} == set()
        assert image.getexif().get_ifd(0x8825) == {}
        assert "icc_profile" not in image.info


def test_a_gif_that_is_also_a_script_loses_the_script():
    content = gif(1) + b"\x00*/=1;alert('" + MARK + b"')//"

    assert all(MARK not in rendition.content for rendition in render(content).renditions)


def test_a_zip_behind_an_image_is_cut_off():
    content = jpeg() + b"PK\x03\x04" + MARK

    assert all(MARK not in rendition.content for rendition in render(content).renditions)


def test_of_an_animation_the_first_frame_is_shown():
    images = [Image.new("RGB", (20, 20), colour) for colour in (RED, BLUE)]
    content = encoded(images[0], "GIF", save_all=True, append_images=images[1:])

    image = variants(content)["web_1280"]

    assert getattr(image, "n_frames", 1) == 1
    assert near(image.convert("RGB").getpixel((5, 5)), RED)


def test_what_shows_through_still_does():
    transparent = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    transparent.paste((220, 20, 20, 255), (0, 0, 10, 20))

    image = variants(encoded(transparent, "PNG"))["web_1280"]

    assert image.mode == "RGBA"
    assert image.getpixel((15, 10))[3] < 10
    assert image.getpixel((4, 10))[3] > 245


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_mode_of_png_can_be_shown(mode):
    assert sizes(encoded(picture(mode=mode), "PNG"))["web_1280"] == (60, 40)


def test_sixteen_bits_of_grey_become_eight_not_white():
    grey = Image.new("I;16", (10, 10), 0x8000)

    image = variants(encoded(grey, "PNG"))["web_1280"].convert("RGB")

    assert near(image.getpixel((5, 5)), (128, 128, 128))


def test_a_press_photograph_is_shown_in_screen_colours():
    image = variants(encoded(picture(mode="CMYK"), "JPEG"))["web_1280"]

    assert image.mode == "RGB"
    assert near(image.getpixel((5, 5)), RED)


def test_an_embedded_profile_is_applied_before_it_is_dropped():
    swapped = colour_profile().replace(b"rXYZ", b"tXYZ").replace(b"bXYZ", b"rXYZ").replace(b"tXYZ", b"bXYZ")

    image = variants(encoded(picture(), "PNG", icc_profile=swapped))["web_1280"].convert("RGB")

    assert near(image.getpixel((5, 5)), BLUE)


def test_a_broken_profile_does_not_spoil_the_picture():
    image = variants(encoded(picture(), "PNG", icc_profile=b"not a profile"))["web_1280"].convert("RGB")

    assert near(image.getpixel((5, 5)), RED)


def test_broken_exif_does_not_spoil_the_picture():
    content = jpeg(exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")

    assert sizes(content)["web_1280"] == (60, 40)


def test_the_locked_placeholder_holds_no_more_than_32_pixels():
    assert max(sizes(jpeg(4000, 3000))["blur"]) == 32


def test_too_many_pixels_are_refused_by_the_header_alone():
    assert refusal(png_claiming(7000, 7000)) is Failure.TOO_MANY_PIXELS


def test_a_decompression_bomb_is_refused_before_it_goes_off():
    assert refusal(png_claiming(60_000, 60_000)) is Failure.TOO_MANY_PIXELS
    assert refusal(png_claiming(10_000, 10_000)) is Failure.TOO_MANY_PIXELS


def test_forty_megapixels_are_the_most(settings):
    settings.MEDIA_MAX_IMAGE_PIXELS = 2400

    assert sizes(jpeg(60, 40))["web_1280"] == (60, 40)
    assert refusal(jpeg(61, 40)) is Failure.TOO_MANY_PIXELS


def test_a_bomb_inside_a_text_chunk_is_refused():
    content = encoded(picture(), "PNG")
    bomb = png_chunk(b"zTXt", b"k\0\0" + zlib.compress(b"a" * 5_000_000))
    content = content[:33] + bomb + content[33:]

    assert refusal(content) is Failure.CORRUPT


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_two_hundred_frames_are_the_most(kind):
    def animation(frames: int) -> bytes:
        images = [Image.new("RGB", (4, 4), (number, 0, 255 - number)) for number in range(frames)]
        return encoded(images[0], kind, save_all=True, append_images=images[1:], lossless=True)

    assert sizes(animation(200))["web_1280"] == (4, 4)
    assert refusal(animation(201)) is Failure.TOO_LONG


def test_a_gif_of_a_hundred_thousand_frames_is_refused_without_decoding_them():
    one = gif(1)
    start = one.index(b"\x2c")
    frame = one[start:-1]

    assert refusal(one[:start] + frame * 100_000 + b";") is Failure.TOO_LONG


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_file_that_ends_early_is_refused(kind):
    noise = Image.effect_noise((200, 200), 90).convert("RGB")
    content = encoded(noise, kind)

    assert refusal(content[: len(content) // 2]) is Failure.CORRUPT


@pytest.mark.parametrize("head", [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x10\0\0\0WEBPVP8 "])
def test_a_head_without_a_body_is_refused(head):
    assert refusal(head) is Failure.CORRUPT
    assert refusal(head + b"\0" * 300) is Failure.CORRUPT


NOT_IMAGES = {
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "html": b"<!doctype html><script>alert(1)</script>",
    "pdf": b"%PDF-1.7\n",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "tiff": b"II*\0" + struct.pack("<I", 8),
    "bmp": b"BM" + b"\0" * 60,
    "photoshop": b"8BPS\0\x01",
    "ico": b"\0\0\x01\0\x01\0",
    "mp4": b"\0\0\0\x18ftypmp42",
    "playlist": b"#EXTM3U\n",
    "zip": b"PK\x03\x04",
    "riff sound": b"RIFF\0\0\0\0WAVEfmt ",
    "jpeg 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
    "empty": b"",
    "html before a jpeg": b"<html>" + b"\xff\xd8\xff",
}


@pytest.mark.parametrize("content", NOT_IMAGES.values(), ids=NOT_IMAGES.keys())
def test_what_is_no_image_is_refused_whatever_it_is_called(content):
    assert sniff(content[:16]) is None
    assert refusal(content) is Failure.TYPE_MISMATCH
