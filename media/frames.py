"""How long an animation is, found out without decoding a frame."""

from PIL import Image

GIF_HEADER = 13
EXTENSION, IMAGE = 0x21, 0x2C
HAS_TABLE, TABLE_SIZE = 0x80, 0x07


def has_more_frames_than(limit: int, image: Image.Image, content: bytes) -> bool:
    """Whether the animation is longer than this; stops counting there, however long it goes on."""
    if image.format == "GIF":
        return gif_has_more_frames_than(limit, content)
    return int(getattr(image, "n_frames", 1)) > limit  # PNG and WebP say it in their headers


def gif_has_more_frames_than(limit: int, content: bytes) -> bool:
    """Walk the blocks of a GIF; Pillow would decode each frame to reach the next, or count them to the last."""
    try:
        position = GIF_HEADER + table_bytes(content[10])
        frames = 0
        while content[position] in (EXTENSION, IMAGE):
            if content[position] == IMAGE:
                frames += 1
                if frames > limit:
                    return True
                position += 10 + table_bytes(content[position + 9]) + 1  # descriptor, table, LZW's code size
            else:
                position += 2
            position = after_data_blocks(content, position)
    except IndexError:  # cut off: the decoder will say so
        return False
    return False


def table_bytes(flags: int) -> int:
    """The size of the colour table that the flags announce."""
    return 3 << ((flags & TABLE_SIZE) + 1) if flags & HAS_TABLE else 0


def after_data_blocks(content: bytes, position: int) -> int:
    """Where a chain of data blocks, each led by its length, ends."""
    while content[position]:
        position += content[position] + 1
    return position + 1
