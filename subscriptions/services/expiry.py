"""What the clock does to subscriptions; each service looks again under the lock: the clock may come late or twice."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from subscriptions.events import CancelledBy, Change
from subscriptions.models.subscriptions import Subscription
from subscriptions.services.cancellation import END_REASONS
from subscriptions.services.changes import write_update
from subscriptions.services.payments import expire


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

    previous_status = subscription.status
    reason = END_REASONS[CancelledBy(subscription.cancelled_by)]
    subscription.end(Subscription.Status.CANCELLED, reason=reason, at=end)
    write_update(subscription, change=Change.ENDED, previous_status=previous_status, fields=Subscription.END_FIELDS)
    return subscription
