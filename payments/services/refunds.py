"""Giving money back: promised under the order's lock, sent by the gateway, told when it is done."""

import logging
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from eventbus.outbox import publish
from payments.events import PaymentRefunded
from payments.exceptions import (
    AlreadyRefundedError,
    DisputedError,
    InvalidTransitionError,
    OutsideRefundWindowError,
    OwnPaymentError,
    RefundExceedsBalanceError,
    UnknownPaymentError,
)
from payments.fees import share_out
from payments.gateways.base import (
    CHARGE_DISPUTED,
    GatewayUnavailableError,
    RefundAnswer,
    Refunded,
    RefundFailed,
    RefundPending,
    RefundRefused,
    Reversal,
)
from payments.gateways.registry import gateway_named
from payments.models.disputes import Dispute
from payments.models.orders import PaymentAttempt, PaymentOrder
from payments.models.refunds import Refund
from payments.services.background import REFUND, REFUND_DUE, soon
from payments.services.balances import left_of, remaining_of, settled_status
from payments.services.ledger import book_refund, book_refund_failed
from payments.services.locking import lock_order
from payments.services.sales import give_again, take_back

SHARE_FIELDS = ["creator_share", "platform_share", "processor_share"]

logger = logging.getLogger(__name__)


@transaction.atomic
def refund_payment(
    *,
    order_id: UUID,
    amount: int | None,
    reason: str,
    revoke_access: bool | None,
    source: str,
    requested_by: UUID | None = None,
) -> Refund:
    """Promise the payer this amount back, or all that is left when none is named.

    When nothing is said of access, it goes with the last of the money.
    """
    order = lock_order(order_id)
    if requested_by == order.payer_id:
        raise OwnPaymentError
    if not order.is_captured:
        raise InvalidTransitionError(f"A payment that is {order.status} has nothing to give back")
    if order.status == PaymentOrder.Status.DISPUTED:
        raise DisputedError
    remaining = remaining_of(order)
    if remaining == 0:
        raise AlreadyRefundedError
    if amount is not None and amount > remaining:
        raise RefundExceedsBalanceError(f"{remaining} minor units of {order.currency} are left")
    if source == Refund.Source.PAYEE and is_past_window(order):
        raise OutsideRefundWindowError
    amount = remaining if amount is None else amount
    return promise(
        order,
        amount=amount,
        reason=reason,
        revoke_access=amount == remaining if revoke_access is None else revoke_access,
        source=source,
        status=status_of_new(order),
        requested_by=requested_by,
    )


@transaction.atomic
def refund_on_request(*, payment_id: UUID, amount: int | None, reason: str) -> None:
    """Do what another room asks: give a payment back once for this reason, at most what is left of it.

    One that came too late to pay its cycle holds that cycle no longer: it may be asked for anew.
    """
    if not PaymentOrder.objects.filter(pk=payment_id).exists():
        raise UnknownPaymentError(f"payment {payment_id} was not made here")
    order = lock_order(payment_id)
    if not order.is_captured:
        return
    if reason == Refund.Reason.SUBSCRIPTION_NOT_PAYABLE:
        order.captured_late = True
        order.save(update_fields=["captured_late"])
    give_back_rest(order, reason=reason, revoke_access=False, at_most=amount)


def give_back_rest(order: PaymentOrder, *, reason: str, revoke_access: bool, at_most: int | None = None) -> None:
    """Give back what is left of a locked order, once for one reason.

    While it is disputed the bank decides, and the gateway would refuse: the refund waits for that. Where nothing is
    left it is written down as void: heard again it is no other wish, and it counts if another refund comes to nothing.
    """
    remaining = remaining_of(order) + order.disputes.held().total
    wanted = order.amount if at_most is None else at_most
    if wanted <= 0:
        return
    promise(
        order,
        amount=min(wanted, remaining) or wanted,
        reason=reason,
        revoke_access=revoke_access,
        source=Refund.Source.SYSTEM,
        status=status_of_new(order) if remaining else Refund.Status.VOID,
    )


def give_back_all(orders: Iterable[PaymentOrder], *, reason: str) -> None:
    """Give back what is left of many locked orders, with two statements however many they are."""
    by_id = {order.id: order for order in orders}
    reserved = dict(
        Refund.objects.filter(order__in=by_id, status="pending")
        .order_by()
        .values_list("order_id")
        .annotate(total=Sum("amount"))
    )
    refunds = [
        Refund(
            order=order,
            amount=left or order.amount,
            reason=reason,
            source=Refund.Source.SYSTEM,
            revoke_access=True,
            status=status_of_new(order) if left else Refund.Status.VOID,
        )
        for order in by_id.values()
        for left in [order.amount - order.refunded_amount - reserved.get(order.id, 0)]
    ]
    Refund.objects.bulk_create(refunds, ignore_conflicts=True)
    soon(REFUND_DUE)


def promise(
    order: PaymentOrder,
    *,
    amount: int,
    reason: str,
    revoke_access: bool,
    source: str,
    status: Refund.Status,
    requested_by: UUID | None = None,
) -> Refund:
    """Reserve the amount under the order's lock and send it after the commit; the system promises a reason once."""
    refund = Refund(
        order=order,
        amount=amount,
        reason=reason,
        revoke_access=revoke_access,
        source=source,
        requested_by=requested_by,
        status=status,
    )
    Refund.objects.bulk_create([refund], ignore_conflicts=source == Refund.Source.SYSTEM)
    soon(REFUND, refund.id)
    return refund


def status_of_new(order: PaymentOrder) -> Refund.Status:
    """Where a refund of this order begins."""
    return Refund.Status.WAITING if order.status == PaymentOrder.Status.DISPUTED else Refund.Status.PENDING


def go_on_with_refunds(order: PaymentOrder) -> None:
    """Now that a dispute of this locked order is decided, send what waited for it, at most what the bank has left."""
    if order.status == PaymentOrder.Status.DISPUTED:
        return
    for refund in order.refunds.waiting():
        left = remaining_of(order)
        if left:
            refund.status, refund.amount = Refund.Status.PENDING, min(refund.amount, left)
            soon(REFUND, refund.id)
        else:
            refund.status, refund.refusal, refund.finished_at = Refund.Status.FAILED, "disputed", timezone.now()
        refund.save(update_fields=["status", "amount", "refusal", "finished_at"])


def revive_void_refunds(order: PaymentOrder) -> None:
    """Now that a refund of this locked order came to nothing, give what the system owed beside it."""
    for refund in order.refunds.void():
        left = remaining_of(order)
        if left:
            refund.status, refund.amount = status_of_new(order), min(refund.amount, left)
            refund.save(update_fields=["status", "amount"])
            soon(REFUND, refund.id)


def send_refund(*, refund_id: UUID) -> None:
    """Bring a promised refund to the gateway; its id is the key, so it happens once however often it is sent."""
    now = timezone.now()
    taken = Refund.objects.due(now).filter(pk=refund_id).update(lock_acquired_at=now)
    if not taken:
        return
    refund = Refund.objects.select_related("order").get(pk=refund_id)
    try:
        answer = gateway_named(refund.order.gateway).refund(reversal_of(refund))
    except GatewayUnavailableError:
        logger.warning("No answer from %s for refund %s", refund.order.gateway, refund.id)
        return
    record_refund(refund_id=refund_id, answer=answer)


@transaction.atomic
def record_refund(*, refund_id: UUID, answer: RefundAnswer) -> Refund:
    """Write down the gateway's word on a refund; the same word twice counts once."""
    order = lock_order(Refund.objects.values_list("order_id", flat=True).get(pk=refund_id))
    refund = Refund.objects.select_for_update().get(pk=refund_id)
    match answer:
        case Refunded() if refund.status == Refund.Status.PENDING:
            give(order, refund, answer)
        case RefundPending() if refund.status == Refund.Status.PENDING:
            refund.gateway_refund_id = answer.gateway_refund_id
            refund.save(update_fields=["gateway_refund_id"])
        case RefundRefused() if refund.status == Refund.Status.PENDING:
            refuse(order, refund, answer)
        case RefundFailed() if refund.status == Refund.Status.PENDING:
            fail(refund, code=answer.code)
        case RefundFailed() if refund.status == Refund.Status.SUCCEEDED:
            take_refund_back(order, refund, answer)
    if refund.status == Refund.Status.FAILED:
        revive_void_refunds(order)
    return refund


def give(order: PaymentOrder, refund: Refund, answer: Refunded) -> None:
    """The money went back: book it, and tell it."""
    refund.finished_at = timezone.now()
    refund.status, refund.gateway_refund_id = Refund.Status.SUCCEEDED, answer.gateway_refund_id
    share_refund(order, refund)
    refund.save(update_fields=["status", "gateway_refund_id", "finished_at", *SHARE_FIELDS])
    book_refund(order, refund)
    order.refunded_amount += refund.amount
    order.status = settled_status(order)
    order.sequence += 1
    order.save(update_fields=["refunded_amount", "status", "sequence"])
    take_back(order, refund)
    publish(PaymentRefunded.of(refund, order=order, refunded_at=refund.finished_at))


def refuse(order: PaymentOrder, refund: Refund, answer: RefundRefused) -> None:
    """The gateway will not: while the bank decides a dispute that is for the bank, else for a person."""
    decided = set(order.disputes.closed().values_list("status", flat=True))
    if answer.code != CHARGE_DISPUTED or Dispute.Status.LOST in decided:
        fail(refund, code=answer.code)
    elif not decided or order.disputes.open().exists():
        refund.status, refund.lock_acquired_at = Refund.Status.WAITING, None
        refund.save(update_fields=["status", "lock_acquired_at"])
    # Decided for us meanwhile: the sweeper asks again.


def fail(refund: Refund, *, code: str) -> None:
    """No money goes back by this refund; somebody has to look."""
    logger.error("Refund %s came to nothing: %s", refund.id, code)
    refund.status, refund.refusal, refund.finished_at = Refund.Status.FAILED, code, timezone.now()
    refund.save(update_fields=["status", "refusal", "finished_at"])


def take_refund_back(order: PaymentOrder, refund: Refund, answer: RefundFailed) -> None:
    """The payer's bank sent the money back after it was told: correct the books, and leave the rest to a person."""
    fail(refund, code=answer.code)
    book_refund_failed(order, refund)
    order.refunded_amount -= refund.amount
    order.status = settled_status(order)
    order.save(update_fields=["refunded_amount", "status"])
    give_again(order)


def share_refund(order: PaymentOrder, refund: Refund) -> None:
    """Say whose money the refund is: of each part in proportion to what is left of it."""
    shares = share_out(refund.amount, left=left_of(order))
    refund.creator_share = shares.creator_net
    refund.platform_share = shares.platform_fee
    refund.processor_share = shares.processor_fee


def reversal_of(refund: Refund) -> Reversal:
    """What the gateway has to know."""
    order = refund.order
    paid = order.attempts.get(status=PaymentAttempt.Status.SUCCEEDED)
    return Reversal(
        key=str(refund.id),
        charge_key=paid.gateway_idempotency_key,
        gateway_payment_id=order.gateway_payment_id or "",
        amount=refund.amount,
        currency=order.currency,
    )


def is_past_window(order: PaymentOrder) -> bool:
    """Whether the payee's time to give back is over."""
    window = timedelta(days=settings.REFUND_WINDOW_DAYS)
    return order.completed_at is not None and order.completed_at + window < timezone.now()
