"""Who tries to pay less, take more or be somebody else: the answer, and that nothing has changed."""

import json
import time
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from content.services.moderation import moderate_post
from eventbus.models import OutboxEvent
from payments import tasks
from payments.gateways.sandbox import SIGNATURE_HEADER
from payments.gateways.signatures import signed
from payments.models.ledger import LedgerEntry
from payments.models.orders import PaymentAttempt, PaymentOrder
from payments.models.refunds import Refund
from payments.models.sales import PostPurchase, Tip
from payments.models.sandbox import SandboxCharge
from payments.models.webhooks import GatewayEvent
from subscriptions.models.subscriptions import Subscription
from tests.accounts.factories import make_creator, make_user
from tests.flows.world import kept_by

MODELS = (
    Subscription,
    PaymentOrder,
    PaymentAttempt,
    Refund,
    Tip,
    PostPurchase,
    LedgerEntry,
    SandboxCharge,
    GatewayEvent,
    OutboxEvent,
)
NO_AMOUNTS = [-1, 0.5, 500.0, "500", True, None, [500], {"amount": 500}, 10**30]
NO_CURRENCIES = ["usd", "USD ", "XXX", "BTC", "", None, 840, "US\t"]


def everything():
    return [list(model.objects.order_by("pk").values()) for model in MODELS]


@pytest.fixture
def attack(world):
    """A request whose answer is looked at, and after which everything must be as it was."""

    def post(user, path, body, *, status, code):
        before = everything()
        answer = world.post(user, path, body, expect=status)
        assert answer["code"] == code
        assert everything() == before
        return answer

    return post


# --- tips -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tip(world):
    card = world.card()
    return {"recipient_id": str(world.creator.id), "amount": 500, "currency": "USD", "payment_method_id": card}


@pytest.mark.parametrize("amount", NO_AMOUNTS)
def test_a_tip_of_no_amount(world, attack, tip, amount):
    answer = attack(world.fan, "tips", {**tip, "amount": amount}, status=400, code="validation_error")

    assert list(answer["errors"]) == ["amount"]


@pytest.mark.parametrize("amount", [0, 1, 49, 100_000_000])
def test_a_tip_too_small_or_too_large(world, attack, tip, amount):
    attack(world.fan, "tips", {**tip, "amount": amount}, status=422, code="amount_out_of_range")


@pytest.mark.parametrize("currency", NO_CURRENCIES)
def test_a_tip_in_no_currency(world, attack, tip, currency):
    known_shape = currency in {"XXX", "BTC"}
    status, code = (422, "currency_not_supported") if known_shape else (400, "validation_error")

    attack(world.fan, "tips", {**tip, "currency": currency}, status=status, code=code)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e400", "-1e400"])
def test_a_number_that_is_none(world, tip, number):
    raw = json.dumps({**tip, "amount": 0}).replace('"amount": 0', f'"amount": {number}')
    before = everything()
    response = world.client(world.fan).generic(
        "POST", "/api/v1/tips", raw, content_type="application/json", headers={"Idempotency-Key": uuid4().hex}
    )

    assert (response.status_code, everything()) == (400, before)


def test_a_message_is_text_and_nothing_else(world, tip):
    message = '<script>alert("x")</script> [look](javascript:void)'
    sent = world.post(world.fan, "tips", {**tip, "message": message})
    world.settle()

    response = world.client(world.creator).get(f"/api/v1/tips/{sent['id']}")
    assert response["Content-Type"] == "application/json"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response.json()["message"] == message


# --- purchases --------------------------------------------------------------------------------------------------------


def wish(post, card, **changes):
    price = post["price"] or {"amount": 700, "currency": "USD"}
    seen = {"expected_amount": price["amount"], "expected_currency": price["currency"]}
    return {"post_id": post["id"], "payment_method_id": card, **seen, **changes}


@pytest.mark.parametrize("kind", ["public", "subscribers", "draft", "hidden", "withdrawn"])
def test_a_post_that_is_not_for_sale(world, attack, kind):
    price = {"price": {"amount": 700, "currency": "USD"}}
    if kind in {"public", "subscribers"}:
        post = world.write(visibility=kind)
    else:
        post = world.write(visibility="ppv", **price, publish=kind != "draft")
    if kind == "hidden":
        moderate_post(post_id=post["id"], moderation="hidden", actor_id=uuid4())
    if kind == "withdrawn":
        world.post(world.creator, f"posts/{post['id']}/withdraw", expect=200)
    world.settle()

    attack(world.fan, "post-purchases", wish(post, world.card()), status=422, code="not_for_sale")


@pytest.mark.parametrize("amount", [1, 699, 701])
def test_a_price_of_the_buyers_own(world, attack, amount):
    post = world.sell(700)

    attack(
        world.fan, "post-purchases", wish(post, world.card(), expected_amount=amount), status=409, code="price_changed"
    )


@pytest.mark.parametrize(
    "smuggled", ["price", "creator_id", "payee_id", "price_version", "gateway_payment_id", "status"]
)
def test_a_purchase_that_names_what_is_not_its_to_name(world, attack, smuggled):
    post = world.sell(700)

    answer = attack(
        world.fan, "post-purchases", wish(post, world.card(), **{smuggled: "1"}), status=400, code="validation_error"
    )

    assert list(answer["errors"]) == [smuggled]


def test_another_users_card(world, attack, tip):
    stranger = make_user()
    stolen = world.card(user=stranger)
    post = world.sell(700)

    for path, body in (("tips", {**tip, "payment_method_id": stolen}), ("post-purchases", wish(post, stolen))):
        attack(world.fan, path, body, status=422, code="payment_method_not_usable")


def test_a_subscription_with_another_users_card_is_never_charged(world):
    stolen = world.card(user=make_user())
    subscription = world.subscribe(world.tier(), stolen)
    world.settle()

    assert world.subscription(subscription)["status"] == "expired"
    assert world.payment(subscription)["status"] == "failed"
    assert SandboxCharge.objects.count() == LedgerEntry.objects.count() == 0


# --- subscriptions ----------------------------------------------------------------------------------------------------


def choice(tier, card, **changes):
    price = tier["prices"][0]
    seen = {"expected_amount": price["amount"], "expected_currency": price["currency"]}
    return {"tier_id": tier["id"], "price_id": price["id"], "payment_method_id": card, **seen, **changes}


def test_a_price_of_another_creators_tier(world, attack):
    tier = world.tier()
    other = make_creator()
    cheap = {"name": "Cheap", "prices": [{"interval": "month", "amount": 50, "currency": "USD"}]}
    foreign = world.post(other, "tiers", cheap)
    world.settle()
    body = choice(tier, world.card(), price_id=foreign["prices"][0]["id"], expected_amount=50)

    attack(world.fan, "subscriptions", body, status=422, code="tier_not_available")


def test_an_archived_tier_and_two_tiers_at_once(world, attack):
    tier, other = world.tier(), world.tier(name="Other")
    card = world.card()
    world.post(world.creator, f"tiers/{other['id']}/archive", expect=200)
    world.settle()
    attack(world.fan, "subscriptions", choice(other, card), status=422, code="tier_not_available")
    world.post(world.creator, f"tiers/{other['id']}/restore", expect=200)
    world.subscribe(tier, card)
    world.settle()

    attack(world.fan, "subscriptions", choice(other, card), status=409, code="already_subscribed")


def test_ones_own_tier(world, attack):
    tier = world.tier()

    attack(world.creator, "subscriptions", choice(tier, world.card(user=world.creator)), status=422, code="own_tier")


def test_one_key_of_two_users_is_two_keys(world):
    tier, other = world.tier(), make_user()
    key, seen = uuid4().hex, []
    for user in (world.fan, other, world.fan):
        body = choice(tier, world.card(user=user))
        seen.append(world.call("post", user, "subscriptions", body, expect=201, **{"Idempotency-Key": key})["id"])

    assert seen[0] == seen[2] != seen[1]
    assert Subscription.objects.count() == 2


def test_cancelling_and_coming_back_again_and_again_wins_nothing(world):
    _, active = world.subscribed()
    for _ in range(4):
        world.cancel(active)
        world.resume(active)
        world.settle()

    assert world.subscription(active) == active
    assert SandboxCharge.objects.count() == 1
    assert Refund.objects.count() == 0


def test_changing_up_and_down_wins_nothing(world):
    """Up is paid now, down waits; what is unused is credited once, and after three changes there is a pause."""
    cheap, subscription = world.subscribed()
    dear = world.tier(amount=2400, name="Dear")
    world.settle()
    world.wait(days=10)
    path = f"subscriptions/{subscription['id']}/change"

    def change(tier, expect=200):
        price = tier["prices"][0]
        answer = world.post(
            world.fan, path, {"price_id": price["id"], "expected_amount": price["amount"]}, expect=expect
        )
        world.settle()
        return answer

    change(dear)
    end = world.subscription(subscription)["current_period_end"]
    paid = sum(kept_by(order.id) for order in PaymentOrder.objects.all())
    change(cheap)
    change(dear)  # calls the change off
    change(cheap)
    change(dear)
    assert change(cheap, expect=409)["code"] == "change_limit"

    now = world.subscription(subscription)
    assert (now["price"]["amount"], now["current_period_end"]) == (2400, end)
    assert sum(kept_by(order.id) for order in PaymentOrder.objects.all()) == paid > 2400


# --- payments and refunds ---------------------------------------------------------------------------------------------


def test_a_gateways_id_from_the_client_counts_for_nothing(world):
    _, waiting = world.subscribed(token="tok_3ds")
    payment = world.payment(waiting)
    stranger = world.buy(world.sell(700), world.card())
    world.settle()
    paid = PaymentOrder.objects.get(reference_id=stranger["id"])
    injected = {"gateway_payment_id": paid.gateway_payment_id, "status": "succeeded", "amount": 1}
    before = PaymentOrder.objects.get(pk=payment["id"])

    world.post(world.fan, f"payments/{payment['id']}/cancel", injected, expect=200)

    after = PaymentOrder.objects.get(pk=payment["id"])
    assert (after.gateway_payment_id, after.amount) == (before.gateway_payment_id, before.amount)
    assert (after.status, kept_by(after.id)) == ("cancelled", 0)


@pytest.fixture
def paid(world):
    purchase = world.buy(world.sell(900), world.card())
    world.settle()
    return world.payment(purchase)


@pytest.mark.parametrize("amount", [0, *[each for each in NO_AMOUNTS if each is not None]])
def test_a_refund_of_no_amount(world, attack, paid, amount):
    body = {"reason": "requested_by_customer", "amount": amount}

    attack(world.creator, f"payments/{paid['id']}/refunds", body, status=400, code="validation_error")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"amount": 901}, 422, "refund_exceeds_balance"),
        ({"currency": "USD"}, 400, "validation_error"),
        ({"source": "staff"}, 400, "validation_error"),
        ({"requested_by": str(uuid4())}, 400, "validation_error"),
        ({"status": "succeeded"}, 400, "validation_error"),
        ({"reason": "duplicate of something"}, 400, "validation_error"),
        ({"revoke_access": "no"}, 400, "validation_error"),
    ],
)
def test_a_refund_that_says_too_much(*, world, attack, paid, change, status, code):
    body = {"reason": "requested_by_customer", **change}

    attack(world.creator, f"payments/{paid['id']}/refunds", body, status=status, code=code)


def test_a_refund_by_who_paid_or_has_nothing_to_do_with_it(world, attack, paid):
    for user in (world.fan, make_user(), make_creator()):
        attack(
            user, f"payments/{paid['id']}/refunds", {"reason": "requested_by_customer"}, status=404, code="not_found"
        )


def test_refunds_after_the_money_is_payable_take_it_from_there(world, paid):
    order = PaymentOrder.objects.get(pk=paid["id"])
    world.wait(days=8)
    world.run(tasks.clear_due)
    world.refund(paid)
    world.settle()

    assert LedgerEntry.objects.of_creator(order.payee_id).total() == 0
    assert kept_by(order.id) == 0


# --- webhooks ---------------------------------------------------------------------------------------------------------

DEEP = '{"id": "evt_1", "type": "payment.captured", "livemode": false, "data": ' + "[" * 200 + "]" * 200 + "}"
TWICE = '{"id": "evt_1", "id": "evt_2", "type": "payment.captured", "livemode": false, "data": {}}'
NAN = '{"id": "evt_1", "type": "payment.captured", "livemode": false, "data": {"amount": NaN}}'


@pytest.mark.parametrize("raw", [DEEP, TWICE, NAN], ids=["deep", "a name twice", "no number"])
def test_a_signed_body_that_is_no_plain_json(world, settings, raw):
    settings.SANDBOX_WEBHOOK_SECRETS = ["whsec"]
    before = everything()
    header = signed(raw.encode(), secret="whsec", at=int(time.time()))

    with world.background():
        response = APIClient().generic(
            "POST",
            "/api/v1/webhooks/sandbox",
            raw.encode(),
            content_type="application/json",
            headers={SIGNATURE_HEADER: header},
        )

    assert (response.status_code, response.json()["code"]) == (400, "malformed_webhook")
    assert everything() == before
