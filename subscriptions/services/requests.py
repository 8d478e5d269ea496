"""What payments is asked for, and what became of the question; its subscription is locked by who calls."""

from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from subscriptions.events import BillingReason, BillingRequest
from subscriptions.models.history import RequestedPayment
from subscriptions.models.subscriptions import Subscription
from subscriptions.timing import DUNNING_WINDOW

Reason = RequestedPayment.Reason
State = RequestedPayment.State


def next_cycle_request(subscription: Subscription) -> RequestedPayment:
    """The question for the cycle after the present one, at the price that it will have; not saved yet."""
    price = subscription.pending_price or subscription.price
    start, end = subscription.next_period(price)
    is_trial = subscription.status == Subscription.Status.TRIALING
    return RequestedPayment(
        subscription=subscription,
        reason=Reason.TRIAL_CONVERSION if is_trial else Reason.RENEWAL,
        cycle_number=subscription.due_cycle,
        price=price,
        amount=price.amount,
        currency=price.currency,
        period_start=start,
        period_end=end,
        due_at=start,
        expires_at=start + DUNNING_WINDOW,
    )


def as_told(request: RequestedPayment, *, payment_method_id: UUID | None) -> BillingRequest:
    """The question in the words that payments reads."""
    return BillingRequest(
        billing_request_id=request.pk,
        reason=BillingReason(request.reason),
        cycle_number=request.cycle_number,
        period_start=request.period_start,
        period_end=request.period_end,
        amount=request.amount,
        currency=request.currency,
        due_at=request.due_at,
        expires_at=request.expires_at,
        payment_method_id=payment_method_id,
    )


def awaited_by(subscription: Subscription) -> RequestedPayment | None:
    """The question that is not answered yet."""
    return subscription.requested_payments.filter(state=State.OPEN).select_related("price").first()


def answered_by(
    subscription: Subscription, *, billing_request_id: UUID | None, cycle: int | None
) -> RequestedPayment | None:
    """The question that a payment answers: the one it names or, when it names none, the awaited one of its cycle."""
    asked = subscription.requested_payments.select_related("price")
    if billing_request_id is not None:
        return asked.filter(pk=billing_request_id).first()
    which = Q(state=State.OPEN) if cycle is None else Q(state=State.OPEN, cycle_number=cycle)
    return asked.filter(which).first()


def note_answer(request: RequestedPayment, *, state: str) -> None:
    """Write down what became of a question."""
    request.answer(state)
    request.save(update_fields=["state", "answered_at"])


def withdraw(subscription: Subscription, *reasons: str) -> None:
    """Await no answer any more to what was asked for these reasons, or for any when none is named."""
    awaited = subscription.requested_payments.filter(state=State.OPEN)
    if reasons:
        awaited = awaited.filter(reason__in=reasons)
    awaited.update(state=State.WITHDRAWN, answered_at=timezone.now())
