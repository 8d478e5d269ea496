"""How an amount is shared."""

from itertools import pairwise

import pytest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from payments.fees import Split, share_out, split

AMOUNTS = st.integers(min_value=1, max_value=99_999_999)


@pytest.mark.parametrize(
    ("amount", "bps", "fee"),
    [
        (1000, 1000, 100),
        (1004, 1000, 100),
        (1005, 1000, 101),
        (1, 4999, 0),
        (1, 5000, 1),
        (999, 0, 0),
        (999, 10_000, 999),
    ],
)
def test_the_platforms_fee_is_rounded_half_up(settings, amount, bps, fee):
    settings.PLATFORM_FEE_BPS = bps

    assert split(amount).platform_fee == fee
    assert split(amount).creator_net == amount - fee


@given(amount=AMOUNTS, bps=st.integers(min_value=0, max_value=10_000), processor=st.integers(0, 10_000))
def test_the_parts_are_the_whole_and_none_is_negative(amount, bps, processor):
    with override_settings(PLATFORM_FEE_BPS=bps):
        parts = split(amount, processor_fee=processor)

    assert parts.platform_fee + parts.processor_fee + parts.creator_net == amount
    assert min(parts.platform_fee, parts.processor_fee, parts.creator_net) >= 0


@given(amount=AMOUNTS)
def test_a_larger_amount_never_has_a_smaller_fee(amount):
    assert split(amount + 1).platform_fee >= split(amount).platform_fee


@given(amount=AMOUNTS, bps=st.integers(0, 10_000), cuts=st.lists(st.integers(1, 99_999_998), max_size=20))
def test_selling_in_pieces_saves_at_most_one_unit_a_piece(amount, bps, cuts):
    edges = sorted({0, amount, *[cut for cut in cuts if cut < amount]})
    pieces = [end - start for start, end in pairwise(edges)]
    with override_settings(PLATFORM_FEE_BPS=bps):
        assert split(amount).platform_fee - sum(split(piece).platform_fee for piece in pieces) <= len(pieces)


PARTS = st.builds(
    Split,
    platform_fee=st.integers(0, 10_000_000),
    processor_fee=st.integers(0, 10_000),
    creator_net=st.integers(0, 99_999_999),
)


@given(parts=PARTS, wanted=st.lists(st.integers(1, 99_999_999), max_size=20))
def test_what_goes_back_piece_by_piece_takes_each_part_whole_and_never_more(parts, wanted):
    left = parts
    for amount in [*wanted, parts.total]:
        if left.total:
            shares = share_out(min(amount, left.total), left=left)
            assert shares.total == min(amount, left.total)
            assert min(shares.platform_fee, shares.processor_fee, shares.creator_net) >= 0
            left = left.less(shares)
            assert min(left.platform_fee, left.processor_fee, left.creator_net) >= 0
    assert left == Split(platform_fee=0, processor_fee=0, creator_net=0)


@pytest.mark.parametrize("amount", [0, -1, 1001])
def test_what_is_not_there_cannot_be_shared_out(amount):
    with pytest.raises(ValueError, match="cannot be shared out"):
        share_out(amount, left=Split(platform_fee=100, processor_fee=0, creator_net=900))


def test_each_part_gives_its_proportion():
    assert share_out(100, left=Split(platform_fee=200, processor_fee=50, creator_net=750)) == Split(
        platform_fee=20, processor_fee=5, creator_net=75
    )
