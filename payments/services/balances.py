"""What is left of a captured order, by its refunds and disputes; callers hold its lock."""

from payments.fees import Split
from payments.models.orders import PaymentOrder
from payments.models.refunds import Refund


def remaining_of(order: PaymentOrder) -> int:
    """What is neither given back, nor promised, nor held for a dispute."""
    return order.amount - order.refunded_amount - order.refunds.reserved() - order.disputes.held().total


def left_of(order: PaymentOrder) -> Split:
    """What each part still has: not given back and not held for a dispute."""
    return order.parts.less(order.refunds.given()).less(order.disputes.held())


def settled_status(order: PaymentOrder) -> PaymentOrder.Status:
    """What a captured order is: disputed while money is held, else by how much of it went back and how."""
    if order.disputes.open().filter(held_amount__gt=0).exists():
        return PaymentOrder.Status.DISPUTED
    if order.refunded_amount == 0:
        return PaymentOrder.Status.SUCCEEDED
    if order.refunded_amount < order.amount:
        return PaymentOrder.Status.PARTIALLY_REFUNDED
    is_reversed = order.refunds.filter(source=Refund.Source.DISPUTE).exists()
    return PaymentOrder.Status.REVERSED if is_reversed else PaymentOrder.Status.REFUNDED
