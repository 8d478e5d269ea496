"""How long things may take: what the clock of subscriptions works by."""

from datetime import timedelta

from django.conf import settings

# As long as a first payment may wait for the payer's confirmation.
PAYMENT_WINDOW = timedelta(hours=23)
# A renewal may be paid until a day after the last attempt (the 21st day).
DUNNING_WINDOW = timedelta(days=22)
# Access goes on so long after a period's end while nobody knows yet whether the next one is paid.
BRIDGE = timedelta(days=1)
# After a request's time payments is given so long to say that it failed, before the clock takes it as failed.
PATIENCE = timedelta(hours=1)
# A renewal that the clock missed by more is not charged: the fan was without access, and nobody wants a late surprise.
LATEST_RENEWAL = timedelta(days=3)


def renewal_lead() -> timedelta:
    """How long before a period's end the next one is asked for."""
    return timedelta(minutes=settings.RENEWAL_LEAD_MINUTES)
