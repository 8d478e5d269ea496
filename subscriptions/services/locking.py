"""A subscription under its lock, and what its services ask of it."""

from uuid import UUID

from django.utils import timezone

from accounts.selectors import is_blocked_between
from api.exceptions import BlockedError
from eventbus.exceptions import NotYetError
from subscriptions.models.subscriptions import Subscription


def lock(subscription_id: UUID) -> Subscription:
    """The subscription, ours until the transaction ends; raises NotYetError when it is not here (yet)."""
    subscription = Subscription.objects.select_for_update().filter(pk=subscription_id).first()
    if subscription is None:
        raise NotYetError(f"There is no subscription {subscription_id}")
    return subscription


def has_time_left(subscription: Subscription) -> bool:
    """Whether a period that was granted is still running."""
    end = subscription.current_period_end
    return end is not None and end > timezone.now()


def require_no_block(subscription: Subscription) -> None:
    """Refuse what would have more paid between two of whom one blocks the other."""
    if is_blocked_between(subscription.subscriber_id, subscription.creator_id):
        raise BlockedError
