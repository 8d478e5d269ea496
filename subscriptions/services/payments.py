"""What money, come or gone, does to a subscription."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from eventbus.exceptions import NotYetError
from subscriptions.events import (
    CancelledBy,
    CancelMode,
    CancelReason,
    Change,
    RefundPolicy,
    RefundReason,
    RefundRequest,
)
from subscriptions.models.history import ReceivedPayment, RequestedPayment, SubscriptionPeriod
from subscriptions.models.subscriptions import Subscription
from subscriptions.services.changes import write_cancellation, write_update
from subscriptions.services.dunning import repeat_awaited
from subscriptions.services.locking import lock
from subscriptions.services.requests import State, answered_by, note_answer, withdraw

Status = Subscription.Status
EndReason = Subscription.EndReason
Outcome = ReceivedPayment.Outcome
RevokeReason = ReceivedPayment.RevokeReason

CHANGES = {
    Status.INCOMPLETE: Change.ACTIVATED,
    Status.TRIALING: Change.TRIAL_CONVERTED,
    Status.ACTIVE: Change.RENEWED,
    Status.PAST_DUE: Change.RECOVERED,
}
REFUND_REASONS = {
    Outcome.DUPLICATE: RefundReason.DUPLICATE,
    Outcome.NOT_PAYABLE: RefundReason.SUBSCRIPTION_NOT_PAYABLE,
}


@transaction.atomic
def activate(
    *,
    subscription_id: UUID,
    payment_id: UUID,
    billing_request_id: UUID | None = None,
    amount: int,
    currency: str | None,
    cycle: int | None,
    paid_at: datetime,
) -> Subscription:
    """Let the fan in, or keep them in, for the cycle just paid; a payment that pays nothing is given back.

    `cycle` None means the one asked for or, when none was, the one now due.
    """
    subscription = lock(subscription_id)
    payment = heard_of(payment_id, subscription)
    if payment.outcome is not None:
        return subscription
    request = answered_by(subscription, billing_request_id=billing_request_id, cycle=cycle)
    if cycle is None and request is not None:
        cycle = request.cycle_number
    if subscription.is_ended:
        return refuse(subscription, payment, outcome=Outcome.NOT_PAYABLE)
    if cycle is not None and cycle <= subscription.cycle_number:
        return refuse(subscription, payment, outcome=Outcome.DUPLICATE)
    if not is_enough(subscription, request, amount=amount, currency=currency):
        refuse(subscription, payment, outcome=Outcome.NOT_PAYABLE)
        is_withdrawn = request is not None and not request.is_open
        return repeat_awaited(subscription, cycle=cycle) if is_withdrawn else subscription
    if cycle is not None and cycle > subscription.due_cycle:
        raise NotYetError(f"Cycle {cycle} was paid, cycle {subscription.due_cycle} of {subscription_id} was not")
    if payment.access_revoked:
        return do_without(subscription, payment, request)
    return grant(subscription, payment, request, paid_at=paid_at)


def is_enough(
    subscription: Subscription, request: RequestedPayment | None, *, amount: int, currency: str | None
) -> bool:
    """Whether the money is what was asked for; a change within a cycle is only for sale while it is asked for."""
    if request is not None and request.is_proration and not request.is_open:
        return False
    owed = request or subscription
    return amount >= owed.amount and currency in (None, owed.currency)


def grant(
    subscription: Subscription, payment: ReceivedPayment, request: RequestedPayment | None, *, paid_at: datetime
) -> Subscription:
    """Begin the cycle that was paid, at the price that was paid, and tell it."""
    previous_status, previous_tier_id = Status(subscription.status), subscription.tier_id
    is_change = request is not None and request.price_id != subscription.price_id
    if request is not None and request.period_start and request.period_end:
        start, end = request.period_start, request.period_end
    else:
        start, end = subscription.next_period(subscription.price, since=paid_at)
    if request is not None and request.is_proration:
        cut_short(subscription, at=start)
    if request is not None and is_change:
        subscription.take_price(request.price)
    withdraw_others(subscription, request)
    subscription.start_period(start, end)
    settle(subscription, payment, outcome=Outcome.GRANTED)
    SubscriptionPeriod.of(subscription, payment=payment).save(force_insert=True)
    write_update(
        subscription,
        change=Change.TIER_CHANGED if is_change else CHANGES[previous_status],
        previous_status=previous_status,
        previous_tier_id=previous_tier_id if is_change else None,
        fields=(*Subscription.PERIOD_FIELDS, *(Subscription.PRICE_FIELDS if is_change else ())),
    )
    return subscription


def withdraw_others(subscription: Subscription, request: RequestedPayment | None) -> None:
    """Note which question was answered; any other about the same cycle has become void."""
    if request is not None:
        note_answer(request, state=State.PAID)
    withdraw(subscription)


def cut_short(subscription: Subscription, *, at: datetime) -> None:
    """Let the present period end where the paid change begins."""
    period = subscription.periods.get(cycle_number=subscription.cycle_number)
    period.period_end = at
    period.save(update_fields=["period_end"])


def do_without(subscription: Subscription, payment: ReceivedPayment, request: RequestedPayment | None) -> Subscription:
    """End a subscription whose due cycle was paid with money that has gone back already, as if the refund came second.

    Payments takes no second order for a cycle that was paid: who waited on could never pay for it again.
    """
    settle(subscription, payment, outcome=Outcome.REVOKED)
    if request is not None and request.is_open:
        note_answer(request, state=State.FAILED)
    # A note that an earlier release made does not say why.
    revoke(subscription, reason=payment.revoke_reason or RevokeReason.REFUNDED)
    return subscription


@transaction.atomic
def apply_refund(
    *,
    subscription_id: UUID,
    payment_id: UUID,
    refunded_total: int,
    revoke_access: bool,
    disputed: bool,
    refunded_at: datetime,
) -> Subscription:
    """Note that a payment went back; if access goes with it and it paid the present cycle, end the subscription.

    The note is made first, so a payment whose refund was heard of before it grants nothing when it comes.
    """
    subscription = lock(subscription_id)
    payment = heard_of(payment_id, subscription)
    payment.give_back(refunded_total, at=refunded_at)
    reason = RevokeReason.DISPUTED if disputed else RevokeReason.REFUNDED
    if revoke_access:
        payment.revoke(reason)
    keep(payment, "refunded_at", "refunded_total", "access_revoked", "revoke_reason")
    period = SubscriptionPeriod.objects.filter(payment=payment).first()
    if period is None:
        return subscription

    period.refunded = True
    period.save(update_fields=["refunded"])
    if revoke_access and not subscription.is_ended and period.cycle_number == subscription.cycle_number:
        revoke(subscription, reason=reason)
    return subscription


def heard_of(payment_id: UUID, subscription: Subscription) -> ReceivedPayment:
    """The payment as it was heard of before, or a new note of it."""
    known = ReceivedPayment.objects.filter(pk=payment_id).first()
    return known or ReceivedPayment(pk=payment_id, subscription=subscription)


def settle(subscription: Subscription, payment: ReceivedPayment, *, outcome: str) -> Subscription:
    """Note what became of the payment."""
    payment.outcome = outcome
    keep(payment, "outcome")
    return subscription


def keep(payment: ReceivedPayment, *fields: str) -> None:
    """Write what changed of a note, or the whole of a new one."""
    if payment._state.adding:
        payment.save(force_insert=True)
    else:
        payment.save(update_fields=fields)


def refuse(subscription: Subscription, payment: ReceivedPayment, *, outcome: Outcome) -> Subscription:
    """Note that the payment pays nothing, and ask payments to give it back."""
    settle(subscription, payment, outcome=outcome)
    write_update(
        subscription,
        change=Change.REFUND_REQUESTED,
        previous_status=subscription.status,
        fields=(),
        refund_request=RefundRequest(payment_id=payment.pk, reason=REFUND_REASONS[outcome]),
    )
    return subscription


def revoke(subscription: Subscription, *, reason: str) -> None:
    """End a subscription because the money of its present cycle went back."""
    now = timezone.now()
    previous_status = subscription.status
    subscription.end(Status.CANCELLED, reason=EndReason(reason), at=now)
    subscription.cancel_requested_at = subscription.cancel_requested_at or now
    write_cancellation(
        subscription,
        mode=CancelMode.IMMEDIATE,
        previous_status=previous_status,
        effective_at=now,
        cancelled_by=CancelledBy.SYSTEM,
        reason=CancelReason(reason),
        refund_policy=RefundPolicy.NONE,
        fields=(*Subscription.END_FIELDS, "cancel_requested_at"),
    )
