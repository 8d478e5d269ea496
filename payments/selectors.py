"""What views read of money; every queryset starts from who asks."""

from uuid import UUID

from django.db.models import Q, QuerySet

from payments.models.methods import PaymentMethod
from payments.models.orders import PaymentOrder
from payments.models.projections import PostOffer
from payments.models.sales import PostPurchase, Tip


def methods_of(user_id: UUID) -> QuerySet[PaymentMethod]:
    """The user's own methods."""
    return PaymentMethod.objects.shown_to(user_id)


def payments_of(user_id: UUID) -> QuerySet[PaymentOrder]:
    """What the user pays or is paid, with the tips whose senders may be hidden."""
    return PaymentOrder.objects.of_party(user_id).select_related("tip")


def payments_by(user_id: UUID) -> QuerySet[PaymentOrder]:
    """What the user pays."""
    return PaymentOrder.objects.filter(payer_id=user_id)


def refundable_by(user_id: UUID, *, is_staff_finance: bool) -> QuerySet[PaymentOrder]:
    """What the user may give back: their own sales, or as finance staff anybody's but what they paid themselves."""
    if is_staff_finance:
        return PaymentOrder.objects.exclude(payer_id=user_id)
    return PaymentOrder.objects.filter(payee_id=user_id)


def tips_of(user_id: UUID) -> QuerySet[Tip]:
    """The tips the user sent or was sent; of the latter only those that were paid."""
    return Tip.objects.filter(Q(sender_id=user_id) | received(user_id)).select_related("order")


def tips_sent_by(user_id: UUID) -> QuerySet[Tip]:
    """The tips the user sent, whatever became of them."""
    return Tip.objects.filter(sender_id=user_id).select_related("order")


def tips_received_by(user_id: UUID) -> QuerySet[Tip]:
    """The tips the user was paid."""
    return Tip.objects.filter(received(user_id)).select_related("order")


def received(user_id: UUID) -> Q:
    """A tip whose money came."""
    return Q(recipient_id=user_id, completed_at__isnull=False)


def purchases_of(user_id: UUID) -> QuerySet[PostPurchase]:
    """The posts the user bought."""
    return PostPurchase.objects.filter(buyer_id=user_id).select_related("order")


def posts_heard_of() -> QuerySet[PostOffer]:
    """The posts that content has told of."""
    return PostOffer.objects.all()
