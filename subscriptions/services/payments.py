"""What money, come or gone, does to a subscription."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.selectors import grace_days_of
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
from subscriptions.models.history import ReceivedPayment, SubscriptionPeriod
from subscriptions.models.subscriptions import Subscription
from subscriptions.services.changes import write_cancellation, write_update

Status = Subscription.Status
EndReason = Subscription.EndReason
Outcome = ReceivedPayment.Outcome

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
    amount: int,
    currency: str | None,
    cycle: int | None,
    paid_at: datetime,
) -> Subscription:
    """Let the fan in, or keep them in, for the cycle just paid; a payment that pays nothing is given back.

    `cycle` None means the one now due.
    """
    subscription = lock(subscription_id)
    payment = heard_of(payment_id, subscription)
    if payment.outcome is not None:
        return subscription
    if payment.access_revoked:
        return settle(subscription, payment, outcome=Outcome.REVOKED)
    if subscription.is_ended:
        return refuse(subscription, payment, outcome=Outcome.NOT_PAYABLE)
    if cycle is not None and cycle <= subscription.cycle_number:
        return refuse(subscription, payment, outcome=Outcome.DUPLICATE)
    if amount < subscription.amount or currency not in (None, subscription.currency):
        return refuse(subscription, payment, outcome=Outcome.NOT_PAYABLE)
    if cycle is not None and cycle > subscription.due_cycle:
        raise NotYetError(f"Cycle {cycle} was paid, cycle {subscription.due_cycle} of {subscription_id} was not")

    previous_status = subscription.status
    subscription.start_period(paid_at=paid_at)
    settle(subscription, payment, outcome=Outcome.GRANTED)
    SubscriptionPeriod.of(subscription, payment=payment).save(force_insert=True)
    write_update(
        subscription,
        change=CHANGES[Status(previous_status)],
        previous_status=previous_status,
        fields=Subscription.PERIOD_FIELDS,
    )
    return subscription


@transaction.atomic
def record_failed_payment(
    *, subscription_id: UUID, cycle: int | None, final: bool, failed_at: datetime
) -> Subscription:
    """Give the subscriber grace after a failure that may yet be mended; end the subscription after one that may not."""
    subscription = lock(subscription_id)
    if subscription.is_ended:
        return subscription
    if not concerns_due_cycle(subscription, cycle=cycle, failed_at=failed_at):
        return subscription
    if final:
        return expire(subscription, at=timezone.now())
    if Status.PAST_DUE not in Subscription.TRANSITIONS[subscription.status]:
        return subscription

    previous_status = subscription.status
    grace = timedelta(days=grace_days_of(subscription.creator_id))
    subscription.move_to(Status.PAST_DUE)
    subscription.past_due_at = failed_at
    subscription.grace_until = (subscription.current_period_end or failed_at) + grace
    subscription.access_until = subscription.grace_until
    write_update(
        subscription,
        change=Change.PAST_DUE,
        previous_status=previous_status,
        fields=("status", "past_due_at", "grace_until", "access_until"),
    )
    return subscription


@transaction.atomic
def apply_refund(
    *, subscription_id: UUID, payment_id: UUID, revoke_access: bool, disputed: bool, refunded_at: datetime
) -> Subscription:
    """Note that a payment went back; if access goes with it and it paid the present cycle, end the subscription.

    The note is made first, so a payment whose refund was heard of before it grants nothing when it comes.
    """
    subscription = lock(subscription_id)
    payment = heard_of(payment_id, subscription)
    payment.refunded_at = min(payment.refunded_at or refunded_at, refunded_at)
    payment.access_revoked = payment.access_revoked or revoke_access
    keep(payment, "refunded_at", "access_revoked")
    period = SubscriptionPeriod.objects.filter(payment=payment).first()
    if period is None:
        return subscription

    period.refunded = True
    period.save(update_fields=["refunded"])
    if revoke_access and not subscription.is_ended and period.cycle_number == subscription.cycle_number:
        revoke(subscription, disputed=disputed)
    return subscription


def lock(subscription_id: UUID) -> Subscription:
    """The subscription, ours until the transaction ends; raises NotYetError when it is not here (yet)."""
    subscription = Subscription.objects.select_for_update().filter(pk=subscription_id).first()
    if subscription is None:
        raise NotYetError(f"There is no subscription {subscription_id}")
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


def concerns_due_cycle(subscription: Subscription, *, cycle: int | None, failed_at: datetime) -> bool:
    """Whether the failure is about the cycle now due.

    A message that names no cycle may be an old one about the cycle that has been paid since, so it counts only when
    nothing paid was running.
    """
    if cycle is not None:
        return cycle == subscription.due_cycle
    return subscription.current_period_end is None or failed_at >= subscription.current_period_end


def expire(subscription: Subscription, *, at: datetime) -> Subscription:
    """End a subscription for want of payment."""
    previous_status = subscription.status
    unpaid = previous_status == Status.INCOMPLETE
    reason = EndReason.INITIAL_PAYMENT_FAILED if unpaid else EndReason.PAYMENT_FAILED
    subscription.end(Status.EXPIRED, reason=reason, at=at)
    write_update(subscription, change=Change.ENDED, previous_status=previous_status, fields=Subscription.END_FIELDS)
    return subscription


def revoke(subscription: Subscription, *, disputed: bool) -> None:
    """End a subscription because the money of its present cycle went back."""
    now = timezone.now()
    previous_status = subscription.status
    reason = EndReason.DISPUTED if disputed else EndReason.REFUNDED
    subscription.end(Status.CANCELLED, reason=reason, at=now)
    subscription.cancel_requested_at = subscription.cancel_requested_at or now
    write_cancellation(
        subscription,
        mode=CancelMode.IMMEDIATE,
        previous_status=previous_status,
        effective_at=now,
        cancelled_by=CancelledBy.SYSTEM,
        reason=CancelReason.DISPUTED if disputed else CancelReason.REFUNDED,
        refund_policy=RefundPolicy.NONE,
        fields=(*Subscription.END_FIELDS, "cancel_requested_at"),
    )
