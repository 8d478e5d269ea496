"""Draws photographs by plain Pillow and by the pipeline, by turns, with the platform's own settings; prints JSON."""

import io
import json
import os
import random
import sys
import time
from collections.abc import Callable
from functools import partial

import django
from PIL import Image, ImageFilter

from benchmarks.effort import Effort
from benchmarks.rounds import by_turns

os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.test"
django.setup()

from media import images  # noqa: E402 - the room's models need Django
from media.rendering import render  # noqa: E402

MEGAPIXEL = 1_000_000
FILES = (("JPEG", 4000, 3000), ("JPEG", 3000, 4000), ("PNG", 2400, 1600), ("WEBP", 1600, 1200), ("JPEG", 1200, 800))


def main() -> None:
    """Takes the rounds and the scale."""
    effort = Effort(rounds=int(sys.argv[1]), scale=float(sys.argv[2]))
    photographs = [
        photograph(kind, effort.count(width, least=200), effort.count(height, least=150))
        for kind, width, height in FILES
    ]
    megapixels = sum(pixels for _, pixels in photographs) / MEGAPIXEL
    contents = [content for content, _ in photographs]
    variants: dict[str, Callable[[bytes], object]] = {
        "plain": drawn_plainly,
        "pipeline": render,
        "without_child": images.render,
    }
    rates = {name: partial(rate, draw, contents, megapixels) for name, draw in variants.items()}
    print(json.dumps(by_turns(rates, rounds=effort.rounds)))


def photograph(kind: str, width: int, height: int) -> tuple[bytes, int]:
    """Something as hard to encode as a photograph: soft shapes with grain; the same every time."""
    chance = random.Random(width * height)
    coarse = Image.new("RGB", (32, 24))
    coarse.putdata([tuple(chance.randrange(256) for _ in range(3)) for _ in range(32 * 24)])
    soft = coarse.resize((width, height), Image.Resampling.BICUBIC)
    grain = Image.effect_noise((width, height), 24).convert("RGB")
    stream = io.BytesIO()
    Image.blend(soft, grain, 0.15).save(stream, kind, quality=90)
    return stream.getvalue(), width * height


def rate(draw: Callable[[bytes], object], contents: list[bytes], megapixels: float) -> float:
    """Megapixels a second."""
    started = time.perf_counter()
    for content in contents:
        draw(content)
    return megapixels / (time.perf_counter() - started)


def drawn_plainly(content: bytes) -> list[bytes]:
    """What a few lines of Pillow make of a file that one trusts: the same sizes and qualities."""
    drawn = []
    with Image.open(io.BytesIO(content)) as image:
        image.draft("RGB", (images.LARGEST, images.LARGEST))
        image.load()
        names = [
            name
            for name in images.SIDES
            if name != images.Name.WEB_2048 or max(image.size) > images.SIDES[images.Name.WEB_1280]
        ]
        master = image.convert("RGB")
        master.thumbnail((images.LARGEST, images.LARGEST), Image.Resampling.LANCZOS, reducing_gap=3.0)
    for name in names:
        pixels = master.copy()
        pixels.thumbnail((images.SIDES[name], images.SIDES[name]), Image.Resampling.LANCZOS)
        if name == images.Name.BLUR:
            pixels = pixels.filter(ImageFilter.GaussianBlur(images.BLUR_RADIUS))
        stream = io.BytesIO()
        pixels.save(stream, "WEBP", quality=images.QUALITY[name], method=4)
        drawn.append(stream.getvalue())
    return drawn


if __name__ == "__main__":
    main()
