"""Clock and background work of payments; a sweeper finds what a lost call left behind."""

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from uuid import UUID

from celery import shared_task
from django.db.models import Q
from django.utils import timezone

from payments.gateways.sandbox import SIGNATURE_HEADER
from payments.models.orders import PaymentAttempt, PaymentOrder
from payments.models.refunds import Refund
from payments.models.webhooks import GatewayEvent
from payments.services import charging, ledger, orders, refunds, webhooks

BATCH = 500
PRUNED = 5000
LEFT_BEHIND = timedelta(seconds=5)

logger = logging.getLogger(__name__)


@shared_task
def charge_order(order_id: str) -> None:
    """Charge one order."""
    charging.charge(order_id=UUID(order_id))


@shared_task
def confirm_order(order_id: str) -> None:
    """Go on with one order whose payer has acted."""
    charging.confirm(order_id=UUID(order_id))


@shared_task
def reconcile_order(order_id: str) -> None:
    """Find out what became of one order."""
    charging.reconcile(order_id=UUID(order_id))


@shared_task
def void_attempt(attempt_id: str) -> None:
    """Call one attempt off at the gateway."""
    charging.void(attempt_id=UUID(attempt_id))


@shared_task
def send_refund(refund_id: str) -> None:
    """Bring one refund to the gateway."""
    refunds.send_refund(refund_id=UUID(refund_id))


@shared_task
def charge_due_orders() -> None:
    """Charge what is due and nobody has begun; ask after what was begun and not answered."""
    now = timezone.now()
    due = PaymentOrder.objects.due(now).filter(created_at__lt=now - LEFT_BEHIND).order_by("next_attempt_at")
    for order_id in due.values_list("pk", flat=True)[:BATCH]:
        charge_order.delay(str(order_id))
    unanswered = PaymentOrder.objects.unanswered(now - charging.STALE_AFTER).order_by("lock_acquired_at")
    for order_id in unanswered.values_list("pk", flat=True)[:BATCH]:
        reconcile_order.delay(str(order_id))


@shared_task
def expire_orders() -> None:
    """End the open orders whose time is up."""
    overdue = PaymentOrder.objects.overdue(timezone.now()).order_by("expires_at")
    each(overdue.values_list("pk", flat=True)[:BATCH], lambda pk: orders.expire_order(order_id=pk))


@shared_task
def void_due() -> None:
    """Call off at the gateway what ended here, or was left waiting too long, while it waited for its payer."""
    now = timezone.now()
    ended = Q(order__status__in=PaymentOrder.UNPAID)
    left_waiting = Q(
        order__status="requires_action", order__expires_at__lte=now, order__billing_reason__in=PaymentOrder.DUNNED
    )
    left = PaymentAttempt.objects.filter(ended | left_waiting, status="requires_action")
    for attempt_id in left.order_by("created_at").values_list("pk", flat=True)[:BATCH]:
        void_attempt.delay(str(attempt_id))


@shared_task
def refund_due() -> None:
    """Bring to the gateway every refund that nobody is bringing."""
    due = Refund.objects.due(timezone.now()).order_by("created_at")
    for refund_id in due.values_list("pk", flat=True)[:BATCH]:
        send_refund.delay(str(refund_id))


@shared_task
def clear_due() -> None:
    """Make payable what creators have earned long enough ago."""
    due = PaymentOrder.objects.clearable(timezone.now() - ledger.clearing_time()).order_by("completed_at")
    failed: list[UUID] = []
    while order_ids := list(due.exclude(pk__in=failed).values_list("pk", flat=True)[:BATCH]):
        failed += each(order_ids, lambda pk: ledger.clear_order(order_id=pk))


@shared_task
def handle_gateway_event(event_id: str) -> None:
    """Handle one webhook."""
    webhooks.handle_event(event_id=UUID(event_id))


@shared_task
def gateway_events_due() -> None:
    """Handle the webhooks that nobody has handled yet."""
    due = GatewayEvent.objects.due(timezone.now()).order_by("next_attempt_at")
    for event_id in due.values_list("pk", flat=True)[:BATCH]:
        handle_gateway_event.delay(str(event_id))


@shared_task
def forget_gateway_events() -> None:
    """Delete the webhooks that were handled long ago."""
    while webhooks.forget_old_events(limit=PRUNED) == PRUNED:
        pass


@shared_task
def deliver_sandbox_webhook(body: str, signature: str) -> None:
    """Bring a webhook of the sandbox to where a real gateway's would arrive."""
    webhooks.receive_webhook(gateway="sandbox", raw=body.encode(), headers={SIGNATURE_HEADER: signature})


def each(order_ids: Iterable[UUID], work: Callable[[UUID], PaymentOrder]) -> list[UUID]:
    """Do the work for every one; which failed: they are logged, left to the next sweep, and hold up no other."""
    failed = []
    for order_id in order_ids:
        try:
            work(order_id)
        except Exception:
            logger.exception("The sweep could not deal with payment %s", order_id)
            failed.append(order_id)
    return failed
