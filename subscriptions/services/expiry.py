"""What the clock does to subscriptions; each service looks again under the lock: the clock may come late or twice."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from subscriptions.events import CancelledBy, Change
from subscriptions.models.subscriptions import Subscription
from subscriptions.services.cancellation import END_REASONS
from subscriptions.services.changes import write_update
from subscriptions.services.dunning import expire


@transaction.atomic
def expire_unpaid(*, subscription_id: UUID) -> Subscription:
    """End a subscription whose first payment did not come in time."""
    subscription = Subscription.objects.select_for_update().get(pk=subscription_id)
    now = timezone.now()
    if subscription.status != Subscription.Status.INCOMPLETE:
        return subscription
    if subscription.payment_due_at is None or subscription.payment_due_at > now:
        return subscription
    return expire(subscription, at=now)


@transaction.atomic
def end_due(*, subscription_id: UUID) -> Subscription:
    """End a subscription whose last period, as its cancellation said, is over."""
    subscription = Subscription.objects.select_for_update().get(pk=subscription_id)
    end = subscription.current_period_end
    if subscription.is_ended or not subscription.cancel_at_period_end:
        return subscription
    if end is None or end > timezone.now():
        return subscription

    end_term(subscription)
    return subscription


def has_lapsed(subscription: Subscription) -> bool:
    """Whether it gave access once and gives none any longer, for want of another payment or by its cancellation."""
    until = subscription.access_until
    return subscription.status in Subscription.RUNNING and until is not None and until <= timezone.now()


def end_term(subscription: Subscription) -> None:
    """End a locked subscription where its access ended: as its cancellation said, or for want of another payment."""
    previous_status = subscription.status
    if subscription.cancel_at_period_end:
        status, reason = Subscription.Status.CANCELLED, END_REASONS[CancelledBy(subscription.cancelled_by)]
    elif previous_status == Subscription.Status.PAST_DUE:
        status, reason = Subscription.Status.EXPIRED, Subscription.EndReason.PAYMENT_FAILED
    else:
        status, reason = Subscription.Status.EXPIRED, Subscription.EndReason.TERM_ENDED
    subscription.end(status, reason=reason, at=subscription.access_until or timezone.now())
    write_update(subscription, change=Change.ENDED, previous_status=previous_status, fields=Subscription.END_FIELDS)
