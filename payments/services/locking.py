"""One lock order for the whole room: projection, order, sale, refund.

A post's deletion locks its offer and then the orders; so whoever captures an order must lock the offer first, or the
two would wait for each other. The columns that say which projection it is never change, so they may be read unlocked.
"""

from uuid import UUID

from payments.models.orders import PaymentOrder
from payments.models.projections import PostOffer, SubscriptionRef


def lock_order(order_id: UUID) -> PaymentOrder:
    """The order, locked behind the projection that decides over it; raises PaymentOrder.DoesNotExist."""
    kind, reference_id, post_id = PaymentOrder.objects.values_list("kind", "reference_id", "post_id").get(pk=order_id)
    if kind == PaymentOrder.Kind.SUBSCRIPTION:
        SubscriptionRef.objects.select_for_update().filter(pk=reference_id).first()
    elif kind == PaymentOrder.Kind.POST_PURCHASE and post_id:
        PostOffer.objects.select_for_update().filter(pk=post_id).first()
    return PaymentOrder.objects.select_for_update().get(pk=order_id)
