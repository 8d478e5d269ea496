"""Contested payments: what is left of the money is held while the bank decides, then kept or gone.

A payment whose money is contested cannot be given back as well: what the system owes its payer waits for the bank.
What a dispute takes beyond what was left of the payment, because the rest had gone back already, is the platform's loss
and not the creator's.
"""

import logging
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from eventbus.outbox import publish
from payments.events import PaymentRefunded
from payments.exceptions import GatewayMismatchError, InvalidTransitionError
from payments.fees import Split, share_out
from payments.gateways.base import DisputeFacts
from payments.models.disputes import Dispute
from payments.models.methods import PaymentMethod
from payments.models.orders import PaymentOrder
from payments.models.refunds import Refund
from payments.services.balances import left_of, remaining_of, settled_status
from payments.services.ledger import book_dispute_lost, book_dispute_opened, book_dispute_won
from payments.services.locking import lock_order
from payments.services.refunds import go_on_with_refunds
from payments.services.sales import take_back

NOTHING = Split(platform_fee=0, processor_fee=0, creator_net=0)
Status = Dispute.Status

logger = logging.getLogger(__name__)


@transaction.atomic
def follow_dispute(*, order_id: UUID, facts: DisputeFacts) -> Dispute:
    """Write down what the gateway says of a dispute; once it is decided, nothing later changes it."""
    order = lock_order(order_id)
    if not order.is_captured:
        raise InvalidTransitionError(f"A payment that is {order.status} cannot be disputed")
    if facts.currency != order.currency or not 0 < facts.amount <= order.amount:
        raise GatewayMismatchError(f"{facts.gateway_dispute_id}: disputes {facts.amount} {facts.currency}")
    known = Dispute.objects.select_for_update().filter(gateway_dispute_id=facts.gateway_dispute_id).first()
    dispute = known or open_dispute(order, facts)
    if dispute.is_closed:
        return dispute
    if facts.status == Status.WON:
        win(order, dispute)
    elif facts.status == Status.LOST:
        lose(order, dispute)
    elif dispute.status != facts.status:
        dispute.status = facts.status
        dispute.save(update_fields=["status"])
    return dispute


def open_dispute(order: PaymentOrder, facts: DisputeFacts) -> Dispute:
    """Hold what is left of a locked order, and charge its payment method no more."""
    held = min(facts.amount, remaining_of(order))
    shares = share_out(held, left=left_of(order)) if held else NOTHING
    dispute = Dispute.objects.create(
        order=order,
        gateway_dispute_id=facts.gateway_dispute_id,
        amount=facts.amount,
        held_amount=held,
        creator_share=shares.creator_net,
        platform_share=shares.platform_fee,
        processor_share=shares.processor_fee,
        reason=facts.reason[:60],
    )
    logger.warning("Payment %s is disputed: %s %s", order.id, facts.amount, facts.currency)
    book_dispute_opened(order, dispute)
    settle(order)
    if order.payment_method_id:
        PaymentMethod.objects.filter(pk=order.payment_method_id, status="active").update(status="invalid")
    return dispute


def win(order: PaymentOrder, dispute: Dispute) -> None:
    """The money stays where it was."""
    close(dispute, status=Status.WON)
    book_dispute_won(order, dispute)
    settle(order)
    go_on_with_refunds(order)


def lose(order: PaymentOrder, dispute: Dispute) -> None:
    """The bank has given the money back: whatever it paid for goes."""
    close(dispute, status=Status.LOST)
    book_dispute_lost(order, dispute)
    if not dispute.held_amount:
        settle(order)
        go_on_with_refunds(order)
        return
    refund = Refund.objects.create(
        order=order,
        amount=dispute.held_amount,
        creator_share=dispute.creator_share,
        platform_share=dispute.platform_share,
        processor_share=dispute.processor_share,
        reason=Refund.Reason.FRAUDULENT,
        source=Refund.Source.DISPUTE,
        revoke_access=True,
        status=Refund.Status.SUCCEEDED,
        finished_at=dispute.closed_at,
    )
    dispute.refund = refund
    dispute.save(update_fields=["refund"])
    order.refunded_amount += refund.amount
    order.sequence += 1
    order.save(update_fields=["refunded_amount", "sequence"])
    settle(order)
    take_back(order, refund)
    go_on_with_refunds(order)
    publish(PaymentRefunded.of(refund, order=order, refunded_at=dispute.closed_at or timezone.now()))


def close(dispute: Dispute, *, status: Status) -> None:
    """The bank has decided."""
    dispute.status, dispute.closed_at = status, timezone.now()
    dispute.save(update_fields=["status", "closed_at"])


def settle(order: PaymentOrder) -> None:
    """Give a locked, captured order the status that its refunds and disputes make."""
    order.status = settled_status(order)
    order.save(update_fields=["status"])
