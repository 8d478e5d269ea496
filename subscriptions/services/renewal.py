"""How subscriptions go on: each period's end is seen in time, and its next period asked for or, when free, granted.

Several schedulers may run at once: what one has locked the others pass over, and what one has taken up is not due any
more. Every batch is a transaction, so a run may stop anywhere; the next one finds what is left.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.selectors import blocked_pairs
from subscriptions.events import CancelledBy, CancelReason, Change
from subscriptions.models.history import RequestedPayment, SubscriptionPeriod
from subscriptions.models.subscriptions import Subscription
from subscriptions.models.tiers import TierPrice
from subscriptions.services.cancellation import schedule_end
from subscriptions.services.changes import Step, write_steps
from subscriptions.services.expiry import end_term
from subscriptions.services.requests import as_told, next_cycle_request
from subscriptions.timing import BRIDGE, LATEST_RENEWAL

BATCH = 500
PUT_OFF = timedelta(hours=1)

logger = logging.getLogger(__name__)


@transaction.atomic
def renew_batch() -> int:
    """Take up the subscriptions longest due, as many as one transaction may hold; how many they were.

    When the batch cannot be written they are tried one by one, and what fails alone is put off: it holds up no other.
    """
    due = list(
        Subscription.objects.renewable_by(timezone.now())
        .select_related("price", "pending_price")
        .select_for_update(of=("self",), skip_locked=True)[:BATCH]
    )
    if not due:
        return 0
    try:
        with transaction.atomic():
            renew(due)
    except Exception:
        logger.exception("A batch of %d renewals could not be written; each is tried alone", len(due))
        for subscription in due:
            renew_alone(subscription.pk)
    return len(due)


def renew_alone(subscription_id: UUID) -> None:
    """Renew one locked subscription, or put it off."""
    subscription = Subscription.objects.select_related("price", "pending_price").get(pk=subscription_id)
    try:
        with transaction.atomic():
            renew([subscription])
    except Exception:
        logger.exception("Subscription %s could not be renewed", subscription_id)
        Subscription.objects.filter(pk=subscription_id).update(next_action_at=timezone.now() + PUT_OFF)


def renew(due: Sequence[Subscription]) -> None:
    """Ask for the money of the next periods, grant those that cost nothing, and end what the clock missed.

    Of two of whom one blocks the other the present period is the last.
    """
    now = timezone.now()
    apart = blocked_pairs([subscription.parties for subscription in due])
    missed = [subscription for subscription in due if is_missed(subscription, now)]
    parted = [each for each in due if each.parties in apart and not is_missed(each, now)]
    in_time = [each for each in due if each.parties not in apart and not is_missed(each, now)]
    for subscription in missed:
        end_term(subscription)
    for subscription in parted:
        let_end(subscription)
    grant_free([subscription for subscription in in_time if next_price(subscription).amount == 0])
    ask_for_money([subscription for subscription in in_time if next_price(subscription).amount > 0])


def is_missed(subscription: Subscription, now: datetime) -> bool:
    """Whether its period has been over for so long that a renewal would be a surprise."""
    end = subscription.current_period_end
    return end is not None and end + LATEST_RENEWAL <= now


def let_end(subscription: Subscription) -> None:
    """Let the present period be the last, as nobody in particular wished."""
    subscription.cancel_requested_at = timezone.now()
    subscription.cancelled_by = CancelledBy.SYSTEM
    subscription.cancel_reason = CancelReason.OTHER
    subscription.cancel_comment = ""
    schedule_end(subscription)


def next_price(subscription: Subscription) -> TierPrice:
    """What the next period costs."""
    return subscription.pending_price or subscription.price


def ask_for_money(due: Sequence[Subscription]) -> None:
    """Ask payments to charge the next period when it begins; until it is known, access goes on for a while."""
    if not due:
        return
    requests = [next_cycle_request(subscription) for subscription in due]
    steps = []
    for subscription, request in zip(due, requests, strict=True):
        assert request.period_start is not None
        subscription.access_until = request.period_start + BRIDGE
        subscription.plan(request_expires_at=request.expires_at)
        steps.append(
            Step(
                subscription=subscription,
                change=Change.RENEWAL_DUE,
                previous_status=subscription.status,
                billing_request=as_told(request, payment_method_id=subscription.payment_method_id),
            )
        )
    RequestedPayment.objects.bulk_create(requests)
    write_steps(steps, fields=("access_until", "next_action_at"))


def grant_free(due: Sequence[Subscription]) -> None:
    """Begin the next period of what costs nothing."""
    if not due:
        return
    steps = []
    for subscription in due:
        price, previous_tier_id = next_price(subscription), subscription.tier_id
        previous_status = subscription.status
        is_change = price.pk != subscription.price_id
        start, end = subscription.next_period(price)
        subscription.take_price(price)
        subscription.start_period(start, end)
        steps.append(
            Step(
                subscription=subscription,
                change=Change.TIER_CHANGED if is_change else Change.RENEWED,
                previous_status=previous_status,
                previous_tier_id=previous_tier_id if is_change else None,
            )
        )
    SubscriptionPeriod.objects.bulk_create(SubscriptionPeriod.of(subscription, payment=None) for subscription in due)
    write_steps(steps, fields=(*Subscription.PERIOD_FIELDS, *Subscription.PRICE_FIELDS))
