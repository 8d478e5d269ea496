"""/payments: both parties look, the payer confirms and cancels, the payee and finance staff give back."""

from uuid import uuid4

import pytest
from django.contrib.auth.models import Group

from payments.models.orders import PaymentOrder
from payments.models.refunds import Refund
from tests.accounts.factories import make_creator, make_user
from tests.payments.factories import make_method, make_purchase, make_tip, use_token

PAYMENTS = "/api/v1/payments"


@pytest.fixture
def bought(fan, offer, method, background):
    with background():
        return make_purchase(fan, offer, method)


@pytest.fixture
def waiting(fan, creator, method, background):
    use_token(method, "tok_3ds")
    with background():
        return make_tip(fan, creator, method)


@pytest.fixture
def finance(db):
    person = make_user(is_staff=True)
    person.groups.add(Group.objects.get_or_create(name="staff_finance")[0])
    return person


@pytest.fixture
def give_back(as_user, key):
    def post(user, purchase, **body):
        body = {"reason": "requested_by_customer", **body}
        return as_user(user).post(f"{PAYMENTS}/{purchase.order_id}/refunds", body, headers=key())

    return post


def test_each_party_sees_its_side(fan, creator, bought, as_user):
    payer = as_user(fan).get(f"{PAYMENTS}/{bought.order_id}").json()
    payee = as_user(creator).get(f"{PAYMENTS}/{bought.order_id}").json()

    assert (payer["role"], payee["role"]) == ("payer", "payee")
    assert payer["amount"] == payee["amount"] == {"amount": 900, "currency": "USD"}
    assert (payer["creator_net"], payee["creator_net"]) == (None, {"amount": 810, "currency": "USD"})
    assert (payer["payment_method_id"], payee["payment_method_id"]) == (str(bought.order.payment_method_id), None)
    assert (payer["kind"], payer["reference_id"], payer["status"]) == ("post_purchase", str(bought.id), "succeeded")
    assert "sandbox_" not in str(payer) + str(payee)


def test_a_stranger_sees_nothing(bought, as_user):
    client = as_user(make_user())

    assert client.get(f"{PAYMENTS}/{bought.order_id}").status_code == 404
    assert client.get(PAYMENTS).json()["results"] == []
    assert client.get(PAYMENTS, {"reference": str(bought.id)}).json()["results"] == []


def test_payments_are_listed_by_reference(fan, creator, bought, method, as_user):
    tip = make_tip(fan, creator, method)
    client = as_user(fan)

    assert [row["id"] for row in client.get(PAYMENTS).json()["results"]] == [str(tip.order_id), str(bought.order_id)]
    found = client.get(PAYMENTS, {"reference": str(bought.id)}).json()["results"]
    assert [row["id"] for row in found] == [str(bought.order_id)]
    assert client.get(PAYMENTS, {"reference": "x"}).status_code == 400


def test_a_page_of_payments_costs_one_query(*, fan, creator, bought, method, as_user, django_assert_num_queries):
    make_tip(fan, creator, method)

    with django_assert_num_queries(1):
        assert len(as_user(fan).get(PAYMENTS).json()["results"]) == 2


def test_the_payer_confirms(*, fan, creator, waiting, as_user, key, background):
    client = as_user(fan)
    assert client.get(f"{PAYMENTS}/{waiting.order_id}").json()["next_action"]["type"] == "redirect"
    assert as_user(creator).get(f"{PAYMENTS}/{waiting.order_id}").json()["next_action"] is None

    with background():
        answer = client.post(f"{PAYMENTS}/{waiting.order_id}/confirm", headers=key())

    assert (answer.status_code, answer.json()["status"]) == (200, "processing")
    assert client.get(f"{PAYMENTS}/{waiting.order_id}").json()["status"] == "succeeded"
    again = client.post(f"{PAYMENTS}/{waiting.order_id}/confirm", headers=key())
    assert (again.status_code, again.json()["code"]) == (409, "invalid_transition")


def test_the_payer_cancels(fan, waiting, as_user):
    client = as_user(fan)

    answer = client.post(f"{PAYMENTS}/{waiting.order_id}/cancel")

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    again = client.post(f"{PAYMENTS}/{waiting.order_id}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "invalid_transition")


@pytest.mark.parametrize("action", ["confirm", "cancel"])
def test_only_the_payer_confirms_and_cancels(creator, waiting, as_user, key, action):
    for other in (creator, make_user()):
        answer = as_user(other).post(f"{PAYMENTS}/{waiting.order_id}/{action}", headers=key())
        assert answer.status_code == 404

    assert PaymentOrder.objects.get().status == "requires_action"


def test_the_payee_gives_back(creator, bought, give_back, background):
    with background():
        answer = give_back(creator, bought, amount=400, revoke_access=False)

    assert answer.status_code == 201
    given = answer.json()
    assert (given["amount"], given["source"], given["status"]) == (
        {"amount": 400, "currency": "USD"},
        "payee",
        "pending",
    )
    assert (Refund.objects.get().status, Refund.objects.get().requested_by) == ("succeeded", creator.id)


def test_finance_staff_give_back(finance, bought, give_back):
    answer = give_back(finance, bought)

    assert (answer.status_code, answer.json()["source"]) == (201, "staff")


def test_the_payer_and_strangers_give_nothing_back(fan, bought, give_back):
    for other in (fan, make_user()):
        assert give_back(other, bought).status_code == 404

    assert Refund.objects.count() == 0


def test_finance_staff_do_not_give_back_to_themselves(finance, offer, give_back, background):
    with background():
        own = make_purchase(finance, offer, make_method(finance.id))

    assert give_back(finance, own).status_code == 404
    assert Refund.objects.count() == 0


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"amount": 901}, 422, "refund_exceeds_balance"),
        ({"amount": 0}, 400, "validation_error"),
        ({"reason": "subscription_not_payable"}, 400, "validation_error"),
        ({"source": "system"}, 400, "validation_error"),
    ],
)
def test_a_refund_is_refused(refusal, body, status, code):
    assert refusal(body) == (status, code)
    assert Refund.objects.count() == 0


@pytest.fixture
def refusal(creator, bought, give_back):
    def post(body):
        answer = give_back(creator, bought, **body)
        return answer.status_code, answer.json()["code"]

    return post


def test_what_is_given_back_is_given_back_once(creator, bought, give_back, background):
    with background():
        give_back(creator, bought)

    answer = give_back(creator, bought)

    assert (answer.status_code, answer.json()["code"]) == (409, "already_refunded")
    assert Refund.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/tips?direction=sent", "/post-purchases", "/payment-methods", "/payments"])
def test_nobody_unnamed_sees_money(client, path):
    assert client.get(f"/api/v1{path}").status_code == 401


def test_a_malformed_id_is_not_found(fan, as_user):
    assert as_user(fan).get(f"{PAYMENTS}/not-an-id").status_code == 404
    assert as_user(fan).get(f"{PAYMENTS}/{uuid4()}").status_code == 404


def test_the_list_is_walked_by_cursor_whether_narrowed_or_not(as_user, fan, creator, method):
    tips = [make_tip(fan, creator, method) for _ in range(3)]
    client, seen, url = as_user(fan), [], "/api/v1/payments?page_size=2"
    while url:
        body = client.get(url).json()
        seen += [payment["id"] for payment in body["results"]]
        url = body["next"]

    assert seen == [str(tip.order_id) for tip in reversed(tips)]
    assert client.get("/api/v1/payments", {"page_size": 2, "refrence": "x"}).json()["code"] == "validation_error"


def test_who_pays_and_is_paid_sees_both_in_one_order_there_and_back(as_user, fan, creator, method):
    own = make_method(creator.id)
    other = make_creator()
    pairs = [(fan, creator, method), (creator, other, own), (creator, other, own), (fan, creator, method)]
    orders = [str(make_tip(*pair).order_id) for pair in pairs]
    client = as_user(creator)
    first = client.get("/api/v1/payments?page_size=2").json()
    second = client.get(first["next"]).json()

    assert [payment["id"] for payment in first["results"]] == [orders[3], orders[2]]
    assert [payment["id"] for payment in second["results"]] == [orders[1], orders[0]]
    assert second["next"] is None
    assert client.get(second["previous"]).json()["results"] == first["results"]
