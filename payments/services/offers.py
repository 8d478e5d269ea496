"""Posts as things to buy: what content says of them, and what that means for purchases under way."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from api.money import EXPONENTS
from payments.models.orders import PaymentOrder, PaymentOrderQuerySet
from payments.models.projections import PostOffer
from payments.models.refunds import Refund
from payments.models.sales import Sale
from payments.services.orders import close_order
from payments.services.refunds import give_back_all

NOTHING_HEARD = -1
SNAPSHOT_FIELDS = [
    "creator_id",
    "on_sale",
    "amount",
    "currency",
    "price_version",
    "included_tier_ids",
    "source_sequence",
]


@dataclass(frozen=True, slots=True)
class PostFact:
    """What content says of a post's sale."""

    post_id: UUID
    creator_id: UUID
    sequence: int
    on_sale: bool
    amount: int | None
    currency: str | None
    price_version: int
    included_tier_ids: tuple[UUID, ...]

    @property
    def is_sellable(self) -> bool:
        """Whether it can be sold: on sale, and at a price that can be charged."""
        return self.on_sale and (self.amount or 0) > 0 and self.currency in EXPONENTS


@transaction.atomic
def offer_post(*, fact: PostFact) -> PostOffer:
    """Keep the newest word on a post; off sale, open purchases are cancelled and those at the gateway are honoured."""
    offer = lock_offer(post_id=fact.post_id, creator_id=fact.creator_id)
    if offer.deleted_at or fact.sequence < offer.source_sequence:
        return offer
    offer.creator_id = fact.creator_id
    offer.on_sale = fact.is_sellable
    offer.amount = fact.amount
    offer.currency = fact.currency
    offer.price_version = fact.price_version
    offer.included_tier_ids = list(fact.included_tier_ids)
    offer.source_sequence = fact.sequence
    offer.save(update_fields=SNAPSHOT_FIELDS)
    if not offer.on_sale:
        cancel_open_purchases(offer)
    return offer


@transaction.atomic
def close_offer(
    *, post_id: UUID, creator_id: UUID, sequence: int, deleted_at: datetime, refund_purchases: bool
) -> PostOffer:
    """Take a deleted post off sale for ever; refund what was bought after its end, or all of it when so asked.

    A purchase that a partial refund has revoked was settled then. The tombstone keeps no price, so it is the same
    whether the post's other events come before it or after.
    """
    offer = lock_offer(post_id=post_id, creator_id=creator_id)
    offer.on_sale = False
    offer.amount = offer.currency = None
    offer.price_version, offer.included_tier_ids = 0, []
    offer.deleted_at = offer.deleted_at or deleted_at
    offer.source_sequence = max(offer.source_sequence, sequence)
    offer.save(update_fields=[*SNAPSHOT_FIELDS, "deleted_at"])
    cancel_open_purchases(offer)
    owed = Q() if refund_purchases else Q(completed_at__gte=offer.deleted_at)
    held = orders_of(offer).kept().filter(owed, postpurchase__status=Sale.Status.COMPLETED)
    orders = held.order_by("pk").select_for_update(of=("self",))
    give_back_all(orders, reason=Refund.Reason.POST_UNAVAILABLE)
    return offer


def lock_offer(*, post_id: UUID, creator_id: UUID) -> PostOffer:
    """The post's row, locked; made first when nothing was heard of it."""
    blank = PostOffer(post_id=post_id, creator_id=creator_id, source_sequence=NOTHING_HEARD)
    PostOffer.objects.bulk_create([blank], ignore_conflicts=True)
    return PostOffer.objects.select_for_update().get(pk=post_id)


def cancel_open_purchases(offer: PostOffer) -> None:
    """Cancel the purchases of a locked offer that no gateway is working on."""
    for order in orders_of(offer).cancellable().order_by("pk").select_for_update():
        close_order(order, status=PaymentOrder.Status.CANCELLED, failure_code="voided")


def orders_of(offer: PostOffer) -> PaymentOrderQuerySet:
    """The orders of the post's purchases; a tip beside the post is no purchase of it."""
    return PaymentOrder.objects.filter(kind=PaymentOrder.Kind.POST_PURCHASE, post_id=offer.post_id)
