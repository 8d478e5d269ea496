"""How a subscription comes to cost something else: dearer at once, for the difference; anything else when it renews."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from api.money import limits_of
from subscriptions.events import Change
from subscriptions.exceptions import (
    ChangeLimitError,
    CurrencyDiffersError,
    InvalidTransitionError,
    PaymentMethodRequiredError,
    PriceChangedError,
    RenewalInProgressError,
    SamePriceError,
    TierNotAvailableError,
)
from subscriptions.models.history import RequestedPayment
from subscriptions.models.subscriptions import Subscription
from subscriptions.models.tiers import TierPrice
from subscriptions.periods import anchor_day_of, period_end
from subscriptions.proration import unused_part
from subscriptions.services.changes import write_update
from subscriptions.services.locking import has_time_left, lock, require_no_block
from subscriptions.services.places import require_place
from subscriptions.services.requests import as_told, awaited_by
from subscriptions.timing import PATIENCE, PAYMENT_WINDOW, renewal_lead

CHANGES_ALLOWED = 3  # in any span as long as a period
SCHEDULED = Change.CHANGE_SCHEDULED


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What a change to this price would mean at this moment: `amount_due` now, after the credit for unused time."""

    price: TierPrice
    is_immediate: bool
    effective_at: datetime
    period_end: datetime
    credit: int
    amount_due: int


@transaction.atomic
def change_price(
    *, subscription_id: UUID, price_id: UUID, expected_amount: int, payment_method_id: UUID | None = None
) -> Subscription:
    """Change to another price of the same creator; naming the present one calls off a change that waits.

    A dearer price for the same span is charged now, less what is unused, and holds once that is paid. Every other
    change holds from the renewal on.
    """
    subscription = lock(subscription_id)
    require_changeable(subscription)
    require_no_block(subscription)
    price = price_to_choose(subscription, price_id)
    if price.amount != expected_amount:
        raise PriceChangedError
    if price.pk == subscription.price_id:
        return call_off(subscription)
    if price.amount > 0 and not (payment_method_id or subscription.payment_method_id):
        raise PaymentMethodRequiredError
    require_few_changes(subscription)
    if price.tier_id != subscription.tier_id:
        require_place(price.tier)

    subscription.payment_method_id = payment_method_id or subscription.payment_method_id
    quote = quote_for(subscription, price)
    if quote.is_immediate:
        ask_for_difference(subscription, quote)
    else:
        wait_for_renewal(subscription, price)
    return subscription


def preview_change(*, subscription: Subscription, price_id: UUID) -> Quote:
    """What the change would mean now; refused as the change would be."""
    require_changeable(subscription)
    require_no_block(subscription)
    price = price_to_choose(subscription, price_id)
    if price.pk == subscription.price_id and subscription.pending_price_id is None:
        raise SamePriceError
    return quote_for(subscription, price)


def require_changeable(subscription: Subscription) -> None:
    """Refuse while the subscription is not settled: what it costs must not move under a payment."""
    if subscription.status == Subscription.Status.PAST_DUE or awaited_by(subscription) is not None:
        raise RenewalInProgressError
    if subscription.status != Subscription.Status.ACTIVE:
        raise InvalidTransitionError(f"A subscription that is {subscription.status} cannot change its price")
    if subscription.cancel_at_period_end:
        raise InvalidTransitionError("Take the cancellation back first")
    if not has_time_left(subscription):
        raise RenewalInProgressError


def price_to_choose(subscription: Subscription, price_id: UUID) -> TierPrice:
    """A price that the subscription may change to, or its own; refused when it waits for that one already."""
    price = TierPrice.objects.select_related("tier").filter(pk=price_id).first()
    if price is None or price.tier.creator_id != subscription.creator_id:
        raise TierNotAvailableError
    if price.pk == subscription.pending_price_id:
        raise SamePriceError
    if price.pk != subscription.price_id and (price.tier.is_archived or not price.active):
        raise TierNotAvailableError
    if price.currency != subscription.currency:
        raise CurrencyDiffersError
    return price


def require_few_changes(subscription: Subscription) -> None:
    """Refuse more changes than allowed in a span as long as the period."""
    assert subscription.current_period_start is not None
    assert subscription.current_period_end is not None
    since = timezone.now() - (subscription.current_period_end - subscription.current_period_start)
    if subscription.transitions.filter(change=SCHEDULED, at__gt=since).count() >= CHANGES_ALLOWED:
        raise ChangeLimitError


def quote_for(subscription: Subscription, price: TierPrice) -> Quote:
    """What the change to this price means now.

    A difference too small to be charged is not charged: such a change waits for the renewal too.
    """
    now = timezone.now()
    start, end = subscription.current_period_start, subscription.current_period_end
    assert start is not None
    assert end is not None
    same_span = (price.interval, price.interval_count) == (subscription.interval, subscription.interval_count)
    if same_span and price.amount > subscription.amount and start < now:
        credit = credit_of(subscription, start=start, end=end, at=now)
        if price.amount - credit >= limits_of(price.currency).minimum:
            new_end = period_end(
                now, interval=price.interval, interval_count=price.interval_count, anchor_day=anchor_day_of(now)
            )
            return Quote(
                price=price,
                is_immediate=True,
                effective_at=now,
                period_end=new_end,
                credit=credit,
                amount_due=price.amount - credit,
            )
    start, end = subscription.next_period(price)
    return Quote(price=price, is_immediate=False, effective_at=start, period_end=end, credit=0, amount_due=0)


def credit_of(subscription: Subscription, *, start: datetime, end: datetime, at: datetime) -> int:
    """What is unused of the present period, without what went back of its money."""
    period = subscription.periods.select_related("payment").filter(cycle_number=subscription.cycle_number).first()
    payment = period.payment if period else None
    kept = payment.kept_of(subscription.amount) if payment else subscription.amount
    return unused_part(kept, start=start, end=end, at=at)


def ask_for_difference(subscription: Subscription, quote: Quote) -> None:
    """Ask for the difference; it must be known before the renewal is due, or two payments would want one cycle."""
    assert subscription.current_period_end is not None
    latest = subscription.current_period_end - renewal_lead() - PATIENCE
    if latest <= quote.effective_at + PATIENCE:
        raise RenewalInProgressError("The next period begins too soon; change at its renewal or after it")
    request = RequestedPayment(
        subscription=subscription,
        reason=RequestedPayment.Reason.PRORATION,
        cycle_number=subscription.due_cycle,
        price=quote.price,
        amount=quote.amount_due,
        currency=quote.price.currency,
        period_start=quote.effective_at,
        period_end=quote.period_end,
        due_at=quote.effective_at,
        expires_at=min(quote.effective_at + PAYMENT_WINDOW, latest),
    )
    request.save(force_insert=True)
    subscription.plan(request_expires_at=request.expires_at)
    write_update(
        subscription,
        change=SCHEDULED,
        previous_status=subscription.status,
        fields=("payment_method_id", "next_action_at"),
        billing_request=as_told(request, payment_method_id=subscription.payment_method_id),
    )


def wait_for_renewal(subscription: Subscription, price: TierPrice) -> None:
    """Let the price hold from the next period on."""
    subscription.pending_price = price
    write_update(
        subscription,
        change=SCHEDULED,
        previous_status=subscription.status,
        fields=("payment_method_id", "pending_price"),
    )


def call_off(subscription: Subscription) -> Subscription:
    """Let the price stay what it is."""
    if subscription.pending_price_id is None:
        raise SamePriceError
    subscription.pending_price = None
    write_update(
        subscription,
        change=Change.CHANGE_UNSCHEDULED,
        previous_status=subscription.status,
        fields=("pending_price",),
    )
    return subscription
