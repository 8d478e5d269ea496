"""What the system owes while another refund has taken everything: kept, said once, and given if that one fails."""

import pytest
from django.utils import timezone

from eventbus.testing import deliver
from payments.gateways.base import Refunded, RefundFailed
from payments.models.orders import PaymentOrder
from payments.models.refunds import Refund
from payments.services.offers import close_offer
from payments.services.refunds import record_refund, refund_on_request, refund_payment
from payments.services.verification import first_fault
from subscriptions.events import RefundPolicy
from tests.payments.factories import SubscriptionStory, make_purchase, make_tip

WISH = {"amount": 446, "reason": "requested_by_customer"}


@pytest.fixture
def order(fan, creator, method, background) -> PaymentOrder:
    """A captured tip of 1000."""
    with background():
        return make_tip(fan, creator, method).order


def promised(order: PaymentOrder) -> Refund:
    """All of it, promised by staff and not yet given."""
    return refund_payment(order_id=order.id, amount=None, reason="other", revoke_access=False, source="staff")


def owed(order: PaymentOrder) -> list[tuple[str, int]]:
    return list(order.refunds.filter(source="system").values_list("status", "amount"))


def sent_back(refund: Refund) -> Refund:
    """The gateway's word that the payer's bank does not take it."""
    return record_refund(refund_id=refund.id, answer=RefundFailed(gateway_refund_id="g1", code="sent_back"))


def given(refund: Refund) -> Refund:
    return record_refund(refund_id=refund.id, answer=Refunded(gateway_refund_id="g1"))


def test_a_wish_that_nothing_is_left_for_is_void_and_heard_once(order):
    promised(order)

    for _ in range(2):
        refund_on_request(payment_id=order.id, **WISH)

    assert owed(order) == [("void", 446)]


@pytest.mark.parametrize("was_told", [False, True])
def test_it_is_given_when_the_other_comes_to_nothing(order, background, was_told):
    other = promised(order)
    refund_on_request(payment_id=order.id, **WISH)
    if was_told:
        given(other)

    with background():
        sent_back(other)

    order.refresh_from_db()
    assert (owed(order), order.refunded_amount, first_fault()) == ([("succeeded", 446)], 446, None)
    refund_on_request(payment_id=order.id, **WISH)
    assert owed(order) == [("succeeded", 446)]


def test_it_stays_void_when_the_other_is_given(order):
    other = promised(order)
    refund_on_request(payment_id=order.id, **WISH)

    given(other)

    order.refresh_from_db()
    assert (owed(order), order.refunded_amount) == ([("void", 446)], 1000)


def test_several_wishes_never_get_more_than_is_left(order, background):
    other = promised(order)
    for reason, amount in (("requested_by_customer", 446), ("duplicate", None)):
        refund_on_request(payment_id=order.id, amount=amount, reason=reason)

    with background():
        sent_back(other)

    order.refresh_from_db()
    assert sorted(owed(order)) == [("succeeded", 446), ("succeeded", 554)]
    assert (order.refunded_amount, first_fault()) == (1000, None)


def test_a_wish_for_nothing_is_none(order):
    refund_on_request(payment_id=order.id, amount=0, reason="other")

    assert owed(order) == []


def test_the_buyer_of_a_post_that_is_gone_gets_the_money_though_an_earlier_refund_failed(
    fan, offer, method, background
):
    with background():
        order = make_purchase(fan, offer, method).order
    other = promised(order)
    news = {
        "post_id": offer.post_id,
        "creator_id": offer.creator_id,
        "deleted_at": timezone.now(),
        "refund_purchases": True,
    }
    for sequence in (8, 8):
        close_offer(**news, sequence=sequence)
    assert owed(order) == [("void", order.amount)]

    with background():
        sent_back(other)

    assert owed(order) == [("succeeded", order.amount)]


def test_a_cycle_that_had_gone_back_is_given_back_again_when_that_fails(fan, creator, method, background):
    story = SubscriptionStory(fan.id, creator.id, method.id)
    with background():
        deliver(story.created(), to="payments")
    order = PaymentOrder.objects.get()
    other = promised(order)
    given(other)
    cancelled = story.cancelled(3, policy=RefundPolicy.FULL)
    deliver(cancelled, to="payments")
    assert owed(order) == [("void", 1299)]

    with background():
        sent_back(other)

    order.refresh_from_db()
    assert (owed(order), order.refunded_amount, first_fault()) == ([("succeeded", 1299)], 1299, None)
