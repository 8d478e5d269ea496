"""Trying a declined cycle again: when, with which method, and when no more.

Only renewals and cycles after a trial are tried again; whoever buys something now sees the decline and chooses anew.
A soft decline is tried again on the days of DUNNING_DAYS after the first one, a hard one waits for another method. The
billing request's end bounds both. No attempt begins before the last one's outcome is known.
"""

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from eventbus.outbox import publish
from payments.events import PaymentFailed
from payments.exceptions import InvalidTransitionError
from payments.models.methods import PaymentMethod
from payments.models.orders import PaymentOrder
from payments.models.projections import SubscriptionRef
from payments.services.background import CHARGE, soon
from payments.services.locking import lock_order
from payments.services.orders import close_order
from payments.services.velocity import looks_like_card_testing

WAIT_FIELDS = [
    "status",
    "payment_method",
    "gateway",
    "failure_code",
    "decline_type",
    "first_declined_at",
    "next_attempt_at",
    "next_trigger",
    "next_action",
    "lock_acquired_at",
    "expires_at",
    "sequence",
]
RETRY_FIELDS = ["payment_method", "gateway", "next_attempt_at", "next_trigger"]
Status = PaymentOrder.Status
Trigger = PaymentOrder.Trigger

logger = logging.getLogger(__name__)


def fail_or_wait(order: PaymentOrder, *, failure_code: str, decline_type: str) -> None:
    """End a locked order after a decline, or let it wait for its next attempt."""
    now = timezone.now()
    declined_at = order.first_declined_at or now
    if not order.is_dunned or (decline_type != "hard" and is_exhausted(declined_at, now)):
        close_order(order, status=Status.FAILED, failure_code=failure_code, decline_type=decline_type)
        return
    order.status = Status.RETRY_SCHEDULED
    order.failure_code, order.decline_type = failure_code, decline_type
    order.first_declined_at = declined_at
    order.next_action = order.lock_acquired_at = None
    order.expires_at = order.billing_expires_at
    plan_next_attempt(order, now)
    order.sequence += 1
    order.save(update_fields=WAIT_FIELDS)
    publish(PaymentFailed.of(order, failed_at=now))


def plan_next_attempt(order: PaymentOrder, now: datetime) -> None:
    """Say when a declined order is tried again: at once with a method named meanwhile, else on its next day, if any."""
    newer = newer_method(order)
    if newer is not None and not looks_like_card_testing(payer_id=order.payer_id):
        use(order, newer)
        order.next_attempt_at, order.next_trigger = now, Trigger.METHOD_UPDATE
        soon(CHARGE, order.id)
        return
    order.next_trigger = Trigger.DUNNING
    order.next_attempt_at = None if order.decline_type == "hard" else next_day(order, now)


def next_day(order: PaymentOrder, now: datetime) -> datetime | None:
    """The next day of the schedule that is not over; None when the billing request ends before it."""
    declined_at, ends = order.first_declined_at or now, order.billing_expires_at
    days = (declined_at + timedelta(days=day) for day in settings.DUNNING_DAYS)
    coming = next((day for day in days if day > now), None)
    return coming if coming and ends and coming < ends else None


def is_exhausted(declined_at: datetime, now: datetime) -> bool:
    """Whether the last day of the schedule has come."""
    return declined_at + timedelta(days=settings.DUNNING_DAYS[-1]) <= now


def newer_method(order: PaymentOrder) -> PaymentMethod | None:
    """The usable method that the subscription has named since this order was last tried, if it is another."""
    named = SubscriptionRef.objects.filter(pk=order.reference_id).values_list("payment_method_id", flat=True).first()
    if named is None or named == order.payment_method_id:
        return None
    return PaymentMethod.objects.usable_by(order.payer_id).filter(pk=named).first()


def retry_now(order: PaymentOrder, *, method: PaymentMethod | None) -> None:
    """Try a locked, waiting order again at once, with another method if there is one; not for who tests cards."""
    order.next_trigger = Trigger.CUSTOMER_RETRY
    if method is not None and method.id != order.payment_method_id:
        use(order, method)
        order.next_trigger = Trigger.METHOD_UPDATE
    if looks_like_card_testing(payer_id=order.payer_id):
        logger.warning("Not charging %s at once: too many declines of its payer", order.id)
    else:
        order.next_attempt_at = timezone.now()
        soon(CHARGE, order.id)
    order.save(update_fields=RETRY_FIELDS)


@transaction.atomic
def retry_order(*, order_id: UUID) -> PaymentOrder:
    """Let staff try a waiting order again at once."""
    order = lock_order(order_id)
    if order.status != Status.RETRY_SCHEDULED:
        raise InvalidTransitionError(f"A payment that is {order.status} does not wait for another attempt")
    order.next_attempt_at, order.next_trigger = timezone.now(), Trigger.ADMIN
    order.save(update_fields=["next_attempt_at", "next_trigger"])
    soon(CHARGE, order.id)
    return order


def use(order: PaymentOrder, method: PaymentMethod) -> None:
    """Pay the order with this method from now on."""
    order.payment_method = method
    order.gateway = method.gateway
