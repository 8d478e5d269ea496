"""An order's life outside the gateway: opened, cancelled, expired, declined."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from eventbus.outbox import publish
from payments.events import PaymentFailed
from payments.exceptions import InvalidTransitionError
from payments.fees import split
from payments.gateways.registry import current_gateway
from payments.models.methods import PaymentMethod
from payments.models.orders import PaymentAttempt, PaymentOrder
from payments.models.sales import Sale
from payments.services.background import VOID, soon
from payments.services.locking import lock_order
from payments.services.sales import end_sale

ORDER_LIFETIME = timedelta(hours=1)

Status = PaymentOrder.Status


def new_order(
    *,
    kind: str,
    reference_id: UUID,
    payer_id: UUID,
    payee_id: UUID,
    amount: int,
    currency: str,
    payment_method: PaymentMethod | None,
    expires_at: datetime,
    post_id: UUID | None = None,
) -> PaymentOrder:
    """An order that is not saved yet, its amount shared out."""
    parts = split(amount)
    return PaymentOrder(
        kind=kind,
        reference_id=reference_id,
        payer_id=payer_id,
        payee_id=payee_id,
        post_id=post_id,
        payment_method=payment_method,
        amount=amount,
        currency=currency,
        platform_fee_amount=parts.platform_fee,
        processor_fee_amount=parts.processor_fee,
        creator_net_amount=parts.creator_net,
        gateway=payment_method.gateway if payment_method else current_gateway().name,
        expires_at=expires_at,
    )


@transaction.atomic
def cancel_payment(*, order_id: UUID) -> PaymentOrder:
    """Let the payer call off a payment that no gateway is working on."""
    order = lock_order(order_id)
    if order.status not in PaymentOrder.CANCELLABLE:
        raise InvalidTransitionError(f"A payment that is {order.status} cannot be cancelled")
    return close_order(order, status=Status.CANCELLED, failure_code="cancelled_by_payer")


@transaction.atomic
def expire_order(*, order_id: UUID) -> PaymentOrder:
    """End an open order whose time is up; a cycle whose payer did not act is called off first, and then tried again."""
    order = lock_order(order_id)
    if order.status not in PaymentOrder.CANCELLABLE or order.expires_at is None or order.expires_at > timezone.now():
        return order
    if order.status == Status.REQUIRES_ACTION and order.is_dunned:
        for attempt in order.attempts.filter(status=PaymentAttempt.Status.REQUIRES_ACTION):
            soon(VOID, attempt.id)
        return order
    if order.status == Status.RETRY_SCHEDULED and order.failure_code:
        return close_order(
            order, status=Status.FAILED, failure_code=order.failure_code, decline_type=order.decline_type or "none"
        )
    return close_order(order, status=Status.EXPIRED, failure_code="expired")


def close_order(order: PaymentOrder, *, status: Status, failure_code: str, decline_type: str = "none") -> PaymentOrder:
    """End a locked order without money, and the sale behind it with it."""
    with_payer = order.attempts.filter(status=PaymentAttempt.Status.REQUIRES_ACTION).first()
    if with_payer:
        soon(VOID, with_payer.id)
    order.status = status
    order.failure_code = failure_code
    order.decline_type = decline_type
    order.next_action = None
    order.lock_acquired_at = None
    order.sequence += 1
    order.save(update_fields=["status", "failure_code", "decline_type", "next_action", "lock_acquired_at", "sequence"])
    end_sale(order, status=Sale.Status.FAILED if status == Status.FAILED else Sale.Status.VOID)
    publish(PaymentFailed.of(order, failed_at=timezone.now()))
    return order
