"""The clock work of subscriptions: find what is due, hand each to its service."""

import logging
import time
from collections.abc import Callable, Iterable
from uuid import UUID

from celery import shared_task
from django.utils import timezone

from subscriptions import selectors
from subscriptions.models.subscriptions import Subscription
from subscriptions.services.dunning import give_up
from subscriptions.services.expiry import end_due, expire_unpaid
from subscriptions.services.renewal import renew_batch

RENEWAL_RUN_SECONDS = 240.0  # within Celery's time limit; what is left is taken up by the next run

logger = logging.getLogger(__name__)


@shared_task
def expire_unpaid_subscriptions() -> None:
    """End the subscriptions whose first payment did not come in time."""
    each(selectors.unpaid_ids(timezone.now()), lambda pk: expire_unpaid(subscription_id=pk))


@shared_task
def end_cancelled_subscriptions() -> None:
    """End the subscriptions whose last period is over."""
    each(selectors.ending_ids(timezone.now()), lambda pk: end_due(subscription_id=pk))


@shared_task
def renew_subscriptions() -> None:
    """Ask for the money of every next period that begins soon."""
    end = time.monotonic() + RENEWAL_RUN_SECONDS
    while renew_batch() and time.monotonic() < end:
        pass


@shared_task
def give_up_unpaid_renewals() -> None:
    """Let go of the subscriptions and changes whose money did not come in time."""
    each(selectors.given_up_ids(timezone.now()), lambda pk: give_up(subscription_id=pk))


def each(subscription_ids: Iterable[UUID], work: Callable[[UUID], Subscription]) -> None:
    """Do the work for every one; what fails is logged and found again by the next sweep, and holds up no other."""
    for subscription_id in subscription_ids:
        try:
            work(subscription_id)
        except Exception:
            logger.exception("Subscription %s could not be ended", subscription_id)
