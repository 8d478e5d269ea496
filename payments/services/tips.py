"""Tips: money for nothing in return."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.selectors import is_blocked_between, is_creator
from api.exceptions import BlockedError
from api.money import require_in_range
from payments.exceptions import PostMismatchError, RecipientCannotReceiveError, SelfTipError
from payments.models.orders import PaymentOrder
from payments.models.projections import PostOffer
from payments.models.sales import Tip
from payments.services.background import CHARGE, soon
from payments.services.methods import method_to_charge
from payments.services.orders import ORDER_LIFETIME, new_order
from payments.services.velocity import refuse_card_testing


@transaction.atomic
def send_tip(
    *,
    sender_id: UUID,
    recipient_id: UUID,
    amount: int,
    currency: str,
    payment_method_id: UUID,
    post_id: UUID | None = None,
    message: str = "",
    is_anonymous: bool = False,
) -> Tip:
    """Start a creator's tip; its order is charged after the commit."""
    require_in_range(amount=amount, currency=currency)
    refuse_unless_giveable(sender_id=sender_id, recipient_id=recipient_id, post_id=post_id)
    tip_id = uuid7()
    order = new_order(
        kind=PaymentOrder.Kind.TIP,
        reference_id=tip_id,
        payer_id=sender_id,
        payee_id=recipient_id,
        post_id=post_id,
        amount=amount,
        currency=currency,
        payment_method=method_to_charge(payer_id=sender_id, method_id=payment_method_id),
        expires_at=timezone.now() + ORDER_LIFETIME,
    )
    order.save(force_insert=True)
    tip = Tip.objects.create(
        id=tip_id,
        order=order,
        sender_id=sender_id,
        recipient_id=recipient_id,
        post_id=post_id,
        amount=amount,
        currency=currency,
        message=message,
        is_anonymous=is_anonymous,
    )
    soon(CHARGE, order.id)
    return tip


def refuse_unless_giveable(*, sender_id: UUID, recipient_id: UUID, post_id: UUID | None) -> None:
    """Every reason why this tip cannot be given, the first that holds."""
    if sender_id == recipient_id:
        raise SelfTipError
    if not is_creator(recipient_id):
        raise RecipientCannotReceiveError
    if is_blocked_between(sender_id, recipient_id):
        raise BlockedError
    if post_id is not None and not is_post_of(post_id, creator_id=recipient_id):
        raise PostMismatchError
    refuse_card_testing(payer_id=sender_id)


def is_post_of(post_id: UUID, *, creator_id: UUID) -> bool:
    """Whether the post is this creator's and not deleted."""
    return PostOffer.objects.filter(pk=post_id, creator_id=creator_id, deleted_at=None).exists()
