"""What posts cost, in whatever order content tells it."""

from datetime import timedelta
from itertools import permutations

import pytest

from content.events import Moderation, PostStatus, Visibility
from eventbus.testing import deliver, published
from payments.events import PaymentCompleted, PaymentFailed, PaymentRefunded, PostPurchased
from payments.models.projections import PostOffer
from payments.models.refunds import Refund
from payments.services.charging import ask, charge_of, claim
from payments.services.refunds import refund_payment
from tests.accounts.factories import make_user
from tests.payments.factories import PostStory, make_method, make_purchase


@pytest.fixture
def post(creator):
    return PostStory(creator.id)


@pytest.fixture
def on_sale(post):
    """The post's offer, as its first event makes it."""
    deliver(post.created(), to="payments")
    return PostOffer.objects.get(pk=post.post_id)


def test_a_post_is_offered_at_its_price(post, on_sale):
    assert (on_sale.on_sale, on_sale.amount, on_sale.currency, on_sale.price_version) == (True, 900, "USD", 1)
    assert (on_sale.creator_id, on_sale.source_sequence) == (post.creator_id, 1)


@pytest.fixture
def bought(fan, on_sale, method, background):
    with background():
        purchase = make_purchase(fan, on_sale, method)
    purchase.refresh_from_db()
    return purchase


@pytest.fixture
def tell(post, background):
    """Tell payments that the post is deleted, each time with another event."""

    def deleted(**fields):
        with background():
            deliver(post.deleted(2, **fields), to="payments")

    return deleted


@pytest.fixture
def many_buyers(on_sale, background):
    buyers = [make_user() for _ in range(6)]
    with background():
        for buyer in buyers:
            make_purchase(buyer, on_sale, make_method(buyer.id))
    return buyers


@pytest.mark.parametrize(
    "fields",
    [
        {"status": PostStatus.DRAFT},
        {"status": PostStatus.WITHDRAWN},
        {"visibility": Visibility.PUBLIC},
        {"visibility": Visibility("auction")},
        {"moderation": Moderation.HIDDEN},
        {"price_amount": None},
        {"price_currency": None},
        {"price_currency": "XXX"},
    ],
)
def test_what_cannot_be_bought_is_known_and_not_offered(post, fields):
    deliver(post.created(**fields), to="payments")

    assert PostOffer.objects.get().on_sale is False


def test_the_newest_word_holds_in_any_order(creator):
    for order_of in permutations(range(3)):
        post = PostStory(creator.id)
        events = [
            post.created(1),
            post.updated(2, price_amount=1000, price_version=2),
            post.updated(3, price_amount=1100),
        ]

        deliver(*[events[index] for index in order_of], events[0], to="payments")

        offer = PostOffer.objects.get(pk=post.post_id)
        assert (offer.amount, offer.source_sequence, offer.on_sale) == (1100, 3, True), order_of


def test_a_deleted_post_is_never_offered_again_in_any_order(creator):
    for order_of in permutations(range(3)):
        post = PostStory(creator.id)
        events = [post.created(1), post.updated(2), post.deleted(3)]

        deliver(*[events[index] for index in order_of], to="payments")

        offer = PostOffer.objects.get(pk=post.post_id)
        assert (offer.on_sale, offer.deleted_at) == (False, events[2].deleted_at), order_of
        assert (offer.amount, offer.currency, offer.price_version) == (None, None, 0), order_of


def test_off_sale_cancels_what_is_open_and_honours_what_is_at_the_gateway(fan, post, on_sale, method, background):
    first = make_purchase(fan, on_sale, method)

    deliver(post.updated(2, status=PostStatus.WITHDRAWN), post.updated(3), to="payments")
    first.refresh_from_db()
    assert (first.status, first.order.status) == ("void", "cancelled")

    on_sale.refresh_from_db()
    second = make_purchase(fan, on_sale, method)
    attempt = claim(order_id=second.order_id)
    deliver(post.updated(4, status=PostStatus.WITHDRAWN), to="payments")
    with background():
        ask(attempt, lambda gateway: gateway.create_payment(charge_of(attempt)))

    second.refresh_from_db()
    assert second.status == "completed"
    assert [type(event) for event in published()] == [PaymentFailed, PaymentCompleted, PostPurchased]


def test_a_capture_after_the_deletion_is_told_and_given_back(fan, post, on_sale, method, background):
    purchase = make_purchase(fan, on_sale, method)
    attempt = claim(order_id=purchase.order_id)
    deliver(post.deleted(2), to="payments")

    with background():
        ask(attempt, lambda gateway: gateway.create_payment(charge_of(attempt)))

    purchase.refresh_from_db()
    assert (purchase.status, purchase.order.status) == ("refunded", "refunded")
    assert [type(event) for event in published()] == [PaymentCompleted, PostPurchased, PaymentRefunded]
    assert Refund.objects.get().reason == "post_unavailable"


@pytest.mark.parametrize(
    ("bought_after", "refund_purchases", "refunded"),
    [
        (timedelta(0), False, True),
        (timedelta(hours=1), False, True),
        (-timedelta(hours=1), False, False),
        (-timedelta(hours=1), True, True),
    ],
)
def test_a_deletion_refunds_what_was_bought_after_it_or_all(bought, tell, bought_after, refund_purchases, refunded):
    deleted_at = bought.completed_at - bought_after

    tell(deleted_at=deleted_at, refund_purchases=refund_purchases)
    tell(deleted_at=deleted_at, refund_purchases=refund_purchases)

    bought.refresh_from_db()
    assert bought.status == ("refunded" if refunded else "completed")
    assert [event.revoke_access for event in published(PaymentRefunded)] == ([True] if refunded else [])


def test_a_deletion_leaves_what_a_partial_refund_has_settled(bought, tell, background):
    with background():
        refund_payment(
            order_id=bought.order_id, amount=100, reason="requested_by_customer", revoke_access=True, source="payee"
        )

    tell(refund_purchases=True)

    bought.order.refresh_from_db()
    assert (bought.order.status, bought.order.refunded_amount) == ("partially_refunded", 100)
    assert [refund.amount for refund in Refund.objects.all()] == [100]


def test_many_purchases_are_given_back_with_few_queries(post, many_buyers, django_assert_max_num_queries):
    with django_assert_max_num_queries(16):
        deliver(post.deleted(2, refund_purchases=True), to="payments")

    assert Refund.objects.count() == len(many_buyers) == 6
