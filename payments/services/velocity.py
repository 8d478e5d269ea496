"""Stopping those who try out stolen card numbers: many small payments, most of them declined.

How often somebody may ask at all is throttled at the door (10 payments a minute and 60 a day). This counts what the
gateway declined, wherever the wish came from, and is asked twice: when somebody wishes to pay, for the answer, and when
the gateway is about to be asked, because many wishes may have been sent at the same moment.
"""

from datetime import timedelta
from math import ceil
from uuid import UUID

from django.utils import timezone

from payments.exceptions import TooManyDeclinesError
from payments.models.orders import PaymentAttempt

DECLINE_WINDOW = timedelta(hours=1)
DECLINES_ALLOWED = 5


def refuse_card_testing(*, payer_id: UUID) -> None:
    """Stop a payer whose cards keep being declined, and say until when."""
    wait = lock_left(payer_id=payer_id)
    if wait:
        raise TooManyDeclinesError(
            f"{DECLINES_ALLOWED} payments were declined within an hour. Ask the card's bank why; you can pay again in "
            f"{ceil(wait.total_seconds() / 60)} minutes.",
            retry_after=ceil(wait.total_seconds()),
        )


def looks_like_card_testing(*, payer_id: UUID) -> bool:
    """Whether so many of the payer's attempts were declined of late that none is made on their word."""
    return bool(lock_left(payer_id=payer_id))


def lock_left(*, payer_id: UUID) -> timedelta:
    """How long until the payer has fewer declines in the window than lock; zero when it is not locked."""
    now = timezone.now()
    declined = PaymentAttempt.objects.filter(
        order__payer_id=payer_id, status=PaymentAttempt.Status.DECLINED, finished_at__gt=now - DECLINE_WINDOW
    )
    latest = declined.order_by("-finished_at").values_list("finished_at", flat=True)[:DECLINES_ALLOWED]
    times = [moment for moment in latest if moment is not None]
    return times[-1] + DECLINE_WINDOW - now if len(times) == DECLINES_ALLOWED else timedelta()
