"""The tip or the bought post behind an order, when its money comes to nothing or goes back."""

from payments.models.orders import PaymentOrder
from payments.models.refunds import Refund
from payments.models.sales import PostPurchase, Sale, Tip


def end_sale(order: PaymentOrder, *, status: str) -> None:
    """Tell the tip or purchase of an order what became of it; a subscription's cycle has no row here."""
    if order.kind == PaymentOrder.Kind.TIP:
        Tip.objects.filter(order=order).update(status=status)
    elif order.kind == PaymentOrder.Kind.POST_PURCHASE:
        PostPurchase.objects.filter(order=order).update(status=status)


def give_again(order: PaymentOrder) -> None:
    """Let a tip stand whose refund came to nothing; access that was taken stays taken, until somebody gives it."""
    if order.kind == PaymentOrder.Kind.TIP:
        Tip.objects.filter(order=order, status="refunded").update(status=Sale.Status.COMPLETED)


def take_back(order: PaymentOrder, refund: Refund) -> None:
    """Take from the sale what its refund says: a tip with its last unit, a bought post only with `revoke_access`."""
    if order.kind == PaymentOrder.Kind.TIP and order.refunded_amount == order.amount:
        Tip.objects.filter(order=order, status="completed").update(status=Sale.Status.REFUNDED)
    if order.kind == PaymentOrder.Kind.POST_PURCHASE and refund.revoke_access:
        PostPurchase.objects.filter(order=order, status="completed").update(
            status=Sale.Status.REFUNDED, revoked_at=refund.finished_at
        )
