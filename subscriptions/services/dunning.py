"""What becomes of a subscription whose money does not come: grace while it may yet, the end when it may not."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.selectors import grace_days_of
from subscriptions.events import Change
from subscriptions.models.history import RequestedPayment
from subscriptions.models.subscriptions import Subscription
from subscriptions.services.changes import write_update
from subscriptions.services.locking import has_time_left, lock
from subscriptions.services.requests import State, answered_by, as_told, awaited_by, note_answer
from subscriptions.timing import PATIENCE

Status = Subscription.Status
EndReason = Subscription.EndReason
PAST_DUE_FIELDS = ("status", "past_due_at", "grace_until", "access_until", "next_action_at")


@transaction.atomic
def record_failed_payment(
    *, subscription_id: UUID, billing_request_id: UUID | None, cycle: int | None, final: bool, failed_at: datetime
) -> Subscription:
    """Give the subscriber grace after a failure that may yet be mended; end what waited for it after one that may not.

    What was asked for no longer, paid since, or never asked for by this room may fail without a consequence.
    """
    subscription = lock(subscription_id)
    if subscription.is_ended:
        return subscription
    request = answered_by(subscription, billing_request_id=billing_request_id, cycle=cycle)
    if request is not None and not request.is_open:
        return repeat_awaited(subscription, cycle=request.cycle_number)
    if not is_waited_for(subscription, request, cycle=cycle, failed_at=failed_at):
        return subscription

    if final:
        return give_in(subscription, request, failed_at=failed_at)
    is_change = request is not None and request.is_proration
    if is_change or Status.PAST_DUE not in Subscription.TRANSITIONS[subscription.status]:
        return subscription
    grace = timedelta(days=grace_days_of(subscription.creator_id))
    until = (subscription.current_period_end or failed_at) + grace
    return fall_past_due(subscription, request, since=failed_at, until=until)


@transaction.atomic
def give_up(*, subscription_id: UUID) -> Subscription:
    """Take as failed what was asked for too long ago, and end what waited in vain for another way to pay.

    The service looks again under the lock: the clock may come late or twice.
    """
    subscription = lock(subscription_id)
    now = timezone.now()
    if subscription.status not in Subscription.RUNNING:
        return subscription
    request = awaited_by(subscription)
    if request is not None:
        is_over = request.expires_at + PATIENCE <= now
    elif subscription.status == Status.PAST_DUE and not subscription.cancel_at_period_end:
        is_over = is_past(subscription.grace_until, now)
    else:
        is_over = False
    return give_in(subscription, request, failed_at=now) if is_over else subscription


def repeat_awaited(subscription: Subscription, *, cycle: int | None) -> Subscription:
    """Ask again, under the same id, what is awaited for this cycle.

    Payments holds one order to a cycle: while the withdrawn one was open there, or its money not asked back, it could
    not take up its successor.
    """
    awaited = awaited_by(subscription)
    if awaited is None or awaited.cycle_number != cycle:
        return subscription
    write_update(
        subscription,
        change=Change.CHANGE_SCHEDULED if awaited.is_proration else Change.RENEWAL_DUE,
        previous_status=subscription.status,
        fields=(),
        billing_request=as_told(awaited, payment_method_id=subscription.payment_method_id),
    )
    return subscription


def give_in(subscription: Subscription, request: RequestedPayment | None, *, failed_at: datetime) -> Subscription:
    """Let a locked subscription do without the money: without the change, with what is paid, or not at all."""
    if request is not None:
        note_answer(request, state=State.FAILED)
    if request is not None and request.is_proration:
        return drop_change(subscription)
    if subscription.status == Status.INCOMPLETE or not has_time_left(subscription):
        return expire(subscription, at=timezone.now())
    if subscription.status == Status.PAST_DUE:
        return subscription
    # What is paid runs on; until it ends another way to pay may be named.
    assert subscription.current_period_end is not None
    return fall_past_due(subscription, None, since=failed_at, until=subscription.current_period_end)


def fall_past_due(
    subscription: Subscription, request: RequestedPayment | None, *, since: datetime, until: datetime
) -> Subscription:
    """Let a locked subscription wait for its money, with access until then."""
    previous_status = subscription.status
    subscription.fall_past_due(since=since, until=until)
    subscription.plan(request_expires_at=request.expires_at if request else None)
    write_update(subscription, change=Change.PAST_DUE, previous_status=previous_status, fields=PAST_DUE_FIELDS)
    return subscription


def drop_change(subscription: Subscription) -> Subscription:
    """Let a locked subscription stay what it is: the change to it was not paid."""
    subscription.plan()
    write_update(
        subscription,
        change=Change.CHANGE_UNSCHEDULED,
        previous_status=subscription.status,
        fields=("next_action_at",),
    )
    return subscription


def expire(subscription: Subscription, *, at: datetime) -> Subscription:
    """End a locked subscription for want of payment."""
    previous_status = subscription.status
    unpaid = previous_status == Status.INCOMPLETE
    reason = EndReason.INITIAL_PAYMENT_FAILED if unpaid else EndReason.PAYMENT_FAILED
    subscription.end(Status.EXPIRED, reason=reason, at=at)
    write_update(subscription, change=Change.ENDED, previous_status=previous_status, fields=Subscription.END_FIELDS)
    return subscription


def is_waited_for(
    subscription: Subscription, request: RequestedPayment | None, *, cycle: int | None, failed_at: datetime
) -> bool:
    """Whether the failure is about the payment that the subscription waits for.

    A message that names neither request nor cycle may be an old one about the cycle that has been paid since, so it
    counts only when nothing paid was running.
    """
    if request is not None:
        return True
    if cycle is not None:
        return cycle == subscription.due_cycle and awaited_by(subscription) is None
    return is_past(subscription.current_period_end, failed_at)


def is_past(moment: datetime | None, now: datetime) -> bool:
    """Whether there is no such moment to come."""
    return moment is None or moment <= now
