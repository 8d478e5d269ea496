"""/post-purchases."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from payments.models.orders import PaymentOrder
from payments.models.projections import PostOffer, SubscriptionRef
from payments.models.sales import PostPurchase
from tests.accounts.factories import make_user
from tests.payments.factories import make_purchase

PURCHASES = "/api/v1/post-purchases"


@pytest.fixture
def body(offer, method):
    return {
        "post_id": str(offer.post_id),
        "expected_amount": 900,
        "expected_currency": "USD",
        "payment_method_id": str(method.id),
    }


@pytest.fixture
def buy(fan, as_user, key):
    return lambda body: as_user(fan).post(PURCHASES, body, headers=key())


def test_a_post_is_bought_and_its_status_polled(*, fan, offer, body, buy, as_user, background):
    with background():
        answer = buy(body)

    assert answer.status_code == 201
    bought = answer.json()
    assert (bought["status"], bought["price_version"]) == ("pending", 3)
    assert bought["amount"] == {"amount": 900, "currency": "USD"}
    assert (bought["post_id"], bought["creator_id"]) == (str(offer.post_id), str(offer.creator_id))
    shown = as_user(fan).get(f"{PURCHASES}/{bought['id']}").json()
    assert (shown["status"], shown["payment_id"]) == ("completed", bought["payment_id"])


@pytest.mark.parametrize("change", [{"expected_amount": 899}, {"expected_currency": "EUR"}])
def test_the_price_is_the_offers(body, buy, change):
    answer = buy({**body, **change})

    assert (answer.status_code, answer.json()["code"]) == (409, "price_changed")
    assert PaymentOrder.objects.count() == 0


@pytest.mark.parametrize(
    ("offered", "status", "code"),
    [
        ({"on_sale": False}, 422, "not_for_sale"),
        ({"on_sale": False, "deleted_at": timezone.now()}, 410, "post_unavailable"),
    ],
)
def test_what_is_not_on_sale_is_not_sold(*, offer, body, buy, offered, status, code):
    PostOffer.objects.update(**offered)

    answer = buy(body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert PostPurchase.objects.count() == 0


def test_an_unknown_post_is_not_found(body, buy):
    assert buy({**body, "post_id": str(uuid4())}).status_code == 404


def test_nobody_buys_their_own_post(creator, body, as_user, key):
    answer = as_user(creator).post(PURCHASES, body, headers=key())

    assert (answer.status_code, answer.json()["code"]) == (422, "own_post")
    assert PostPurchase.objects.count() == 0


def test_a_post_in_the_buyers_tier_is_not_sold(fan, offer, body, buy):
    tier_id = uuid4()
    PostOffer.objects.update(included_tier_ids=[tier_id])
    ref = SubscriptionRef.objects.create(
        subscription_id=uuid4(),
        subscriber_id=fan.id,
        creator_id=offer.creator_id,
        tier_id=tier_id,
        status="active",
        access_until=timezone.now() + timedelta(days=1),
    )

    answer = buy(body)
    assert (answer.status_code, answer.json()["code"]) == (422, "included_in_your_tier")
    assert PostPurchase.objects.count() == 0

    ref.access_until = timezone.now()
    ref.save(update_fields=["access_until"])
    assert buy(body).status_code == 201


def test_a_post_is_bought_once(body, buy, background):
    with background():
        assert buy(body).status_code == 201
        pending = buy(body)
    owned = buy(body)

    assert (pending.status_code, pending.json()["code"]) == (409, "purchase_pending")
    assert (owned.status_code, owned.json()["code"]) == (409, "already_owned")
    assert PostPurchase.objects.count() == PaymentOrder.objects.count() == 1


@pytest.mark.parametrize("smuggled", [{"amount": 1}, {"creator_id": str(uuid4())}, {"buyer_id": str(uuid4())}])
def test_nothing_can_be_smuggled_in(body, buy, smuggled):
    answer = buy({**body, **smuggled})

    assert (answer.status_code, list(answer.json()["errors"])) == (400, list(smuggled))
    assert PostPurchase.objects.count() == 0


def test_only_the_buyer_sees_a_purchase(fan, creator, offer, method, as_user):
    purchase = make_purchase(fan, offer, method)

    for other in (creator, make_user()):
        assert as_user(other).get(f"{PURCHASES}/{purchase.id}").status_code == 404
        assert as_user(other).get(PURCHASES).json()["results"] == []


def test_a_page_of_purchases_costs_one_query(fan, offer, method, as_user, django_assert_num_queries):
    make_purchase(fan, offer, method)

    with django_assert_num_queries(1):
        assert len(as_user(fan).get(PURCHASES).json()["results"]) == 1
