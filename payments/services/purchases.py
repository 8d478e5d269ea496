"""Buying a post singly: its price comes from the offer, never from the buyer."""

from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.selectors import is_creator
from payments.exceptions import (
    AlreadyOwnedError,
    IncludedInYourTierError,
    NotForSaleError,
    OwnPostError,
    PostUnavailableError,
    PriceChangedError,
    PurchasePendingError,
)
from payments.models.methods import PaymentMethod
from payments.models.orders import PaymentOrder
from payments.models.projections import PostOffer, SubscriptionRef
from payments.models.sales import PostPurchase, Sale
from payments.services.background import CHARGE, soon
from payments.services.methods import method_to_charge
from payments.services.orders import ORDER_LIFETIME, new_order
from payments.services.velocity import refuse_card_testing


@transaction.atomic
def buy_post(
    *, buyer_id: UUID, post_id: UUID, expected_amount: int, expected_currency: str, payment_method_id: UUID
) -> PostPurchase:
    """Start the purchase of a post at the price the buyer saw; raises PostOffer.DoesNotExist for an unknown post."""
    offer = PostOffer.objects.select_for_update().get(pk=post_id)
    if offer.deleted_at:
        raise PostUnavailableError
    if offer.creator_id == buyer_id:
        raise OwnPostError
    refuse_second_purchase(buyer_id=buyer_id, post_id=post_id)
    if not offer.on_sale or not is_creator(offer.creator_id):
        raise NotForSaleError
    if is_included(offer, buyer_id=buyer_id):
        raise IncludedInYourTierError
    if (offer.amount, offer.currency) != (expected_amount, expected_currency):
        raise PriceChangedError(f"The price is {offer.amount} {offer.currency} now")
    refuse_card_testing(payer_id=buyer_id)
    method = method_to_charge(payer_id=buyer_id, method_id=payment_method_id)
    try:
        with transaction.atomic():
            purchase = record_purchase(offer, buyer_id=buyer_id, method=method)
    except IntegrityError:
        refuse_second_purchase(buyer_id=buyer_id, post_id=post_id)
        raise
    soon(CHARGE, purchase.order_id)
    return purchase


def record_purchase(offer: PostOffer, *, buyer_id: UUID, method: PaymentMethod) -> PostPurchase:
    """Write the order and the purchase at the offer's price."""
    if offer.amount is None or offer.currency is None:
        raise NotForSaleError
    purchase_id = uuid7()
    order = new_order(
        kind=PaymentOrder.Kind.POST_PURCHASE,
        reference_id=purchase_id,
        payer_id=buyer_id,
        payee_id=offer.creator_id,
        post_id=offer.post_id,
        amount=offer.amount,
        currency=offer.currency,
        payment_method=method,
        expires_at=timezone.now() + ORDER_LIFETIME,
    )
    order.save(force_insert=True)
    return PostPurchase.objects.create(
        id=purchase_id,
        order=order,
        buyer_id=buyer_id,
        creator_id=offer.creator_id,
        post_id=offer.post_id,
        amount=offer.amount,
        currency=offer.currency,
        price_version=offer.price_version,
    )


def refuse_second_purchase(*, buyer_id: UUID, post_id: UUID) -> None:
    """Say which earlier purchase is in the way; the unique constraint is what keeps it out."""
    earlier = set(PostPurchase.objects.filter(buyer_id=buyer_id, post_id=post_id).values_list("status", flat=True))
    if Sale.Status.COMPLETED in earlier:
        raise AlreadyOwnedError
    if Sale.Status.PENDING in earlier:
        raise PurchasePendingError


def is_included(offer: PostOffer, *, buyer_id: UUID) -> bool:
    """Whether a live subscription of the buyer opens the post."""
    return SubscriptionRef.objects.filter(
        subscriber_id=buyer_id,
        creator_id=offer.creator_id,
        tier_id__in=offer.included_tier_ids,
        access_until__gt=timezone.now(),
    ).exists()
