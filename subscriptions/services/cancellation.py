"""How a subscription is cancelled, at once or at the end of its period, and how that is taken back."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from subscriptions.events import CancelledBy, CancelMode, CancelReason, Change, RefundPolicy
from subscriptions.exceptions import CancelNotAllowedError, InvalidTransitionError, NotCancellingError
from subscriptions.models.subscriptions import Subscription
from subscriptions.services.changes import write_cancellation, write_update
from subscriptions.services.locking import has_time_left, require_no_block
from subscriptions.services.requests import Reason, awaited_by, withdraw

REQUEST_FIELDS = ("cancel_requested_at", "cancelled_by", "cancel_reason", "cancel_comment")
SCHEDULE_FIELDS = ("cancel_at_period_end", "access_until", "next_action_at", *REQUEST_FIELDS)
NEXT_CYCLE = (Reason.RENEWAL, Reason.TRIAL_CONVERSION)
END_REASONS = {
    CancelledBy.SUBSCRIBER: Subscription.EndReason.SUBSCRIBER_REQUEST,
    CancelledBy.CREATOR: Subscription.EndReason.CREATOR_REQUEST,
    CancelledBy.STAFF: Subscription.EndReason.STAFF_REQUEST,
    CancelledBy.SYSTEM: Subscription.EndReason.TERM_ENDED,
}


@transaction.atomic
def cancel(
    *,
    subscription_id: UUID,
    cancelled_by: CancelledBy,
    mode: CancelMode,
    reason: CancelReason = CancelReason.OTHER,
    comment: str = "",
    refund_policy: RefundPolicy = RefundPolicy.NONE,
) -> Subscription:
    """Cancel a subscription for whoever asked.

    What has no paid period left to run ends at once, whichever mode was asked for; ending a running one at once, and
    giving money back, is for the creator and the staff.
    """
    subscription = Subscription.objects.select_for_update().get(pk=subscription_id)
    if subscription.is_ended:
        raise InvalidTransitionError("The subscription is over")
    if cancelled_by is CancelledBy.SUBSCRIBER and refund_policy is not RefundPolicy.NONE:
        raise CancelNotAllowedError("A refund is given by the creator or the staff")
    if cancelled_by is CancelledBy.SUBSCRIBER and mode is CancelMode.IMMEDIATE and has_time_left(subscription):
        raise CancelNotAllowedError
    at_period_end = mode is CancelMode.AT_PERIOD_END and has_time_left(subscription)
    if at_period_end and refund_policy is not RefundPolicy.NONE:
        raise CancelNotAllowedError("A refund goes with cancelling at once")
    if at_period_end and subscription.cancel_at_period_end:
        raise InvalidTransitionError("The subscription is already about to be cancelled")

    subscription.cancel_requested_at = timezone.now()
    subscription.cancelled_by = cancelled_by
    subscription.cancel_reason = reason
    subscription.cancel_comment = comment
    if at_period_end:
        schedule_end(subscription)
    else:
        end_now(subscription, refund_policy=refund_policy)
    return subscription


@transaction.atomic
def resume(*, subscription_id: UUID) -> Subscription:
    """Take back a scheduled cancellation while the period runs."""
    subscription = Subscription.objects.select_for_update().get(pk=subscription_id)
    if subscription.is_ended:
        raise InvalidTransitionError("The subscription is over")
    if not subscription.cancel_at_period_end:
        raise NotCancellingError
    if not has_time_left(subscription):
        raise InvalidTransitionError("The period is over")
    require_no_block(subscription)

    subscription.cancel_at_period_end = False
    subscription.cancel_requested_at = None
    subscription.cancelled_by = subscription.cancel_reason = subscription.cancel_comment = ""
    if subscription.status == Subscription.Status.PAST_DUE:
        subscription.access_until = subscription.grace_until
    plan(subscription)
    write_update(subscription, change=Change.UNCANCELLED, previous_status=subscription.status, fields=SCHEDULE_FIELDS)
    return subscription


def plan(subscription: Subscription) -> None:
    """Say when the clock looks next, with what is still awaited in mind."""
    awaited = awaited_by(subscription)
    subscription.plan(request_expires_at=awaited.expires_at if awaited else None)


def schedule_end(subscription: Subscription) -> None:
    """Let the present period run and be the last; the money of the next is asked for no longer."""
    end = subscription.current_period_end
    assert end is not None
    withdraw(subscription, *NEXT_CYCLE)
    subscription.cancel_at_period_end = True
    subscription.access_until = end
    plan(subscription)
    write_cancellation(
        subscription,
        mode=CancelMode.AT_PERIOD_END,
        previous_status=subscription.status,
        effective_at=end,
        cancelled_by=CancelledBy(subscription.cancelled_by),
        reason=CancelReason(subscription.cancel_reason),
        refund_policy=RefundPolicy.NONE,
        fields=SCHEDULE_FIELDS,
    )


def end_now(subscription: Subscription, *, refund_policy: RefundPolicy) -> None:
    """End the subscription and its access at this moment."""
    now = timezone.now()
    previous_status = subscription.status
    cancelled_by = CancelledBy(subscription.cancelled_by)
    subscription.end(Subscription.Status.CANCELLED, reason=END_REASONS[cancelled_by], at=now)
    write_cancellation(
        subscription,
        mode=CancelMode.IMMEDIATE,
        previous_status=previous_status,
        effective_at=now,
        cancelled_by=cancelled_by,
        reason=CancelReason(subscription.cancel_reason),
        refund_policy=refund_policy,
        fields=(*Subscription.END_FIELDS, *REQUEST_FIELDS),
    )
