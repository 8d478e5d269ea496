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

    @property
    def total(self) -> int:
        """What they add up to."""
        return self.platform_fee + self.processor_fee + self.creator_net

    def less(self, other: "Split") -> "Split":
        """What is left of each part."""
        return Split(
            platform_fee=self.platform_fee - other.platform_fee,
            processor_fee=self.processor_fee - other.processor_fee,
            creator_net=self.creator_net - other.creator_net,
        )


def split(amount: int, *, processor_fee: int = 0) -> Split:
    """Share the amount; when the fees together exceed it, the platform gives way to the processor."""
    processor = min(processor_fee, amount)
    platform = min((amount * settings.PLATFORM_FEE_BPS + BASIS_POINTS // 2) // BASIS_POINTS, amount - processor)
    return Split(platform_fee=platform, processor_fee=processor, creator_net=amount - platform - processor)


def share_out(amount: int, *, left: Split) -> Split:
    """Take an amount out of what is left of the parts, each giving its proportion and none more than it has.

    What rounding leaves over is given by the parts that lost most by it, so that taking all leaves nothing anywhere.
    """
    if not 0 < amount <= left.total:
        raise ValueError(f"{amount} of {left.total} cannot be shared out")
    parts = {"creator_net": left.creator_net, "platform_fee": left.platform_fee, "processor_fee": left.processor_fee}
    shares = {name: amount * part // left.total for name, part in parts.items()}
    over = amount - sum(shares.values())
    by_loss = sorted(parts, key=lambda name: amount * parts[name] % left.total, reverse=True)
    for name in by_loss[:over]:
        shares[name] += 1
    return Split(**shares)
