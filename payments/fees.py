"""How an amount is shared: platform, processor, creator."""

from dataclasses import dataclass

from django.conf import settings

BASIS_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of an amount, in its minor units; they add up to it."""

    platform_fee: int
    processor_fee: int
    creator_net: int


def split(amount: int, *, processor_fee: int = 0) -> Split:
    """Share the amount; when the fees together exceed it, the platform gives way to the processor."""
    processor = min(processor_fee, amount)
    platform = min((amount * settings.PLATFORM_FEE_BPS + BASIS_POINTS // 2) // BASIS_POINTS, amount - processor)
    return Split(platform_fee=platform, processor_fee=processor, creator_net=amount - platform - processor)
