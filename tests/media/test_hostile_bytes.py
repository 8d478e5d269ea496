"""Whatever bytes come, they end as pixels or as a refusal, never as a worker's crash."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.exceptions import UnfitMediaError
from media.images import render, sniff
from tests.media.factories import colour_profile, encoded, exif, gif, picture

SAMPLES = {
    kind: encoded(picture(24, 16), kind, exif=exif(6), icc_profile=colour_profile()) for kind in ("JPEG", "PNG", "WEBP")
} | {"GIF": gif(3)}

damage = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255), st.booleans()), min_size=1, max_size=12
)


@pytest.mark.parametrize("kind", SAMPLES)
@settings(max_examples=150, deadline=None)
@given(damage=damage)
def test_a_damaged_image_is_shown_or_refused(kind, damage):
    content = bytearray(SAMPLES[kind])
    for where, value, cut in damage:
        position = int(where * len(content))
        content[position : position + 1] = b"" if cut and len(content) > 1 else bytes([value])

    try:
        outcome = {sniff(each.content[:16]) for each in render(bytes(content)).renditions}
    except UnfitMediaError as error:
        outcome = {str(error.failure)}

    assert outcome <= {"image/webp", "corrupt", "type_mismatch", "too_many_pixels", "too_long"}


@settings(max_examples=100, deadline=None)
@given(tail=st.binary(max_size=200), head=st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b""]))
def test_noise_is_refused(head, tail):
    with pytest.raises(UnfitMediaError):
        render(head + tail)
