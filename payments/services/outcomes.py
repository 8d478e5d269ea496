"""What the gateway's answers make of an order."""

from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from eventbus.outbox import publish
from payments.events import PaymentCompleted, PostPurchased, TipSent
from payments.exceptions import GatewayMismatchError
from payments.fees import split
from payments.gateways.base import ActionRequired, Captured, Declined, Outcome, StillProcessing, Voided
from payments.models.methods import PaymentMethod
from payments.models.orders import PaymentAttempt, PaymentOrder
from payments.models.projections import PostOffer, SubscriptionRef
from payments.models.refunds import Refund
from payments.models.sales import PostPurchase, Sale, Tip
from payments.services.background import VOID, soon
from payments.services.dunning import fail_or_wait
from payments.services.ledger import book_capture
from payments.services.locking import lock_order
from payments.services.orders import close_order
from payments.services.refunds import give_back_rest

TIME_TO_ACT = timedelta(minutes=30)
CAPTURE_FIELDS = [
    "status",
    "captured_late",
    "platform_fee_amount",
    "processor_fee_amount",
    "creator_net_amount",
    "gateway_payment_id",
    "next_action",
    "failure_code",
    "decline_type",
    "lock_acquired_at",
    "completed_at",
    "sequence",
]

Status = PaymentOrder.Status


@transaction.atomic
def record_outcome(*, attempt_id: UUID, outcome: Outcome) -> PaymentOrder:
    """Write down the gateway's word on an attempt; the same word twice counts once."""
    order = lock_order(PaymentAttempt.objects.values_list("order_id", flat=True).get(pk=attempt_id))
    attempt = PaymentAttempt.objects.select_for_update().get(pk=attempt_id)
    if attempt.is_finished:
        return order
    match outcome:
        case Captured():
            capture(order, attempt, outcome)
        case Declined():
            decline(order, attempt, outcome)
        case ActionRequired() if attempt.status != PaymentAttempt.Status.REQUIRES_ACTION:
            wait_for_payer(order, attempt, outcome)
        case Voided():
            finish(attempt, status=PaymentAttempt.Status.CANCELLED)
            if order.status in PaymentOrder.OPEN:
                end_without_money(order)
        case ActionRequired() | StillProcessing():
            pass
    return order


def capture(order: PaymentOrder, attempt: PaymentAttempt, captured: Captured) -> None:
    """The money is here: deliver what it was for, or give it back when that is no longer possible."""
    if (captured.amount, captured.currency) != (order.amount, order.currency):
        raise GatewayMismatchError(f"{attempt.gateway_idempotency_key}: captured {captured.amount} {captured.currency}")
    finish(attempt, status=PaymentAttempt.Status.SUCCEEDED)
    parts = split(order.amount, processor_fee=captured.processor_fee)
    order.captured_late = order.status in PaymentOrder.UNPAID
    order.status = Status.SUCCEEDED
    order.platform_fee_amount = parts.platform_fee
    order.processor_fee_amount = parts.processor_fee
    order.creator_net_amount = parts.creator_net
    order.gateway_payment_id = captured.gateway_payment_id
    order.next_action = order.failure_code = order.decline_type = order.lock_acquired_at = None
    order.completed_at = timezone.now()
    order.sequence += 1
    order.save(update_fields=CAPTURE_FIELDS)
    book_capture(order)
    publish(PaymentCompleted.of(order, attempt_number=attempt.number))
    if not order.captured_late:
        deliver_sale(order)
    reason = reason_to_give_back(order)
    if reason:
        give_back_rest(order, reason=reason, revoke_access=True)


def deliver_sale(order: PaymentOrder) -> None:
    """Complete the tip or purchase that the order paid."""
    now = order.completed_at or timezone.now()
    if order.kind == PaymentOrder.Kind.TIP:
        tip = Tip.objects.get(order=order)
        tip.status, tip.completed_at = Sale.Status.COMPLETED, now
        tip.save(update_fields=["status", "completed_at"])
        publish(TipSent.of(tip, order=order, sent_at=now))
    elif order.kind == PaymentOrder.Kind.POST_PURCHASE:
        purchase = PostPurchase.objects.get(order=order)
        purchase.status, purchase.completed_at = Sale.Status.COMPLETED, now
        purchase.save(update_fields=["status", "completed_at"])
        publish(PostPurchased.of(purchase, order=order, purchased_at=now))


def reason_to_give_back(order: PaymentOrder) -> str | None:
    """Why money that has just come cannot be kept; the projection that says so is locked."""
    if order.kind == PaymentOrder.Kind.SUBSCRIPTION:
        ref = SubscriptionRef.objects.filter(pk=order.reference_id).first()
        if order.captured_late or (ref and ref.is_over):
            return Refund.Reason.SUBSCRIPTION_NOT_PAYABLE
    if order.kind == PaymentOrder.Kind.POST_PURCHASE and order.post_id:
        offer = PostOffer.objects.filter(pk=order.post_id).first()
        if offer and offer.deleted_at:
            return Refund.Reason.POST_UNAVAILABLE
    return Refund.Reason.OTHER if order.captured_late else None


def decline(order: PaymentOrder, attempt: PaymentAttempt, declined: Declined) -> None:
    """No money will come; a card that is refused for good is not asked again."""
    attempt.decline_code = declined.failure_code
    attempt.decline_message = declined.message
    finish(attempt, status=PaymentAttempt.Status.DECLINED)
    if declined.decline_type == "hard" and order.payment_method_id:
        PaymentMethod.objects.filter(pk=order.payment_method_id, status="active").update(status="invalid")
    if order.status in PaymentOrder.OPEN:
        fail_or_wait(order, failure_code=declined.failure_code, decline_type=declined.decline_type)


def end_without_money(order: PaymentOrder) -> None:
    """The attempt was called off: a cycle whose payer did not act in time is tried again, anything else is over."""
    if order.is_dunned:
        waited = order.status == Status.REQUIRES_ACTION
        fail_or_wait(order, failure_code="authentication_required" if waited else "voided", decline_type="soft")
    else:
        close_order(order, status=Status.CANCELLED, failure_code="voided")


def wait_for_payer(order: PaymentOrder, attempt: PaymentAttempt, wanted: ActionRequired) -> None:
    """Ask the payer to act; if the order ended meanwhile, call the attempt off instead."""
    attempt.status = PaymentAttempt.Status.REQUIRES_ACTION
    attempt.confirmed_at = None
    attempt.save(update_fields=["status", "confirmed_at"])
    if order.status not in PaymentOrder.OPEN:
        soon(VOID, attempt.id)
        return
    order.status = Status.REQUIRES_ACTION
    order.next_action = wanted.next_action
    order.gateway_payment_id = wanted.gateway_payment_id
    order.lock_acquired_at = None
    order.expires_at = timezone.now() + TIME_TO_ACT
    if order.billing_expires_at:
        order.expires_at = min(order.expires_at, order.billing_expires_at)
    order.save(update_fields=["status", "next_action", "gateway_payment_id", "lock_acquired_at", "expires_at"])


def finish(attempt: PaymentAttempt, *, status: str) -> None:
    """Close an attempt with the gateway's last word."""
    attempt.status = status
    attempt.finished_at = timezone.now()
    attempt.save(update_fields=["status", "finished_at", "decline_code", "decline_message"])
