"""How an amount is shared."""

import pytest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from payments.fees import split

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
