"""The clock work of subscriptions: find what is due, hand each to its service."""

import logging
from collections.abc import Callable, Iterable
from uuid import UUID

from celery import shared_task
from django.utils import timezone

from subscriptions import selectors
from subscriptions.models.subscriptions import Subscription
from subscriptions.services.expiry import end_due, expire_unpaid

logger = logging.getLogger(__name__)


@shared_task
def expire_unpaid_subscriptions() -> None:
    """End the subscriptions whose first payment did not come in time."""
    each(selectors.unpaid_ids(timezone.now()), lambda pk: expire_unpaid(subscription_id=pk))


@shared_task
def end_cancelled_subscriptions() -> None:
    """End the subscriptions whose last period is over."""
    each(selectors.ending_ids(timezone.now()), lambda pk: end_due(subscription_id=pk))


def each(subscription_ids: Iterable[UUID], work: Callable[[UUID], Subscription]) -> None:
    """Do the work for every one; what fails is logged and found again by the next sweep, and holds up no other."""
    for subscription_id in subscription_ids:
        try:
            work(subscription_id)
        except Exception:
            logger.exception("Subscription %s could not be ended", subscription_id)
