"""/tips."""

from uuid import uuid4

import pytest

from eventbus.testing import published
from payments.models.orders import PaymentOrder
from payments.models.sales import Tip
from tests.accounts.factories import make_user
from tests.payments.factories import make_method, make_offer, make_tip, use_token

TIPS = "/api/v1/tips"


@pytest.fixture
def body(creator, method):
    return {"recipient_id": str(creator.id), "amount": 500, "currency": "USD", "payment_method_id": str(method.id)}


def test_a_tip_is_sent_and_its_status_polled(*, fan, creator, body, as_user, key, background):
    client = as_user(fan)
    with background():
        answer = client.post(TIPS, {**body, "message": "Grüße", "is_anonymous": True}, headers=key())

    assert answer.status_code == 201
    sent = answer.json()
    assert (sent["status"], sent["amount"]) == ("pending", {"amount": 500, "currency": "USD"})
    assert (sent["sender_id"], sent["message"], sent["is_anonymous"]) == (str(fan.id), "Grüße", True)
    assert client.get(f"{TIPS}/{sent['id']}").json()["status"] == "completed"
    payment = client.get(f"/api/v1/payments/{sent['payment_id']}").json()
    assert (payment["status"], payment["role"], payment["reference_id"]) == ("succeeded", "payer", sent["id"])


def test_one_key_is_one_tip(fan, body, as_user, key):
    client, headers = as_user(fan), key()

    first = client.post(TIPS, body, headers=headers)
    second = client.post(TIPS, body, headers=headers)

    assert (first.status_code, second.status_code) == (201, 201)
    assert second["Idempotent-Replayed"] == "true"
    assert first.json() == second.json()
    assert Tip.objects.count() == PaymentOrder.objects.count() == 1


def test_a_tip_without_a_key_is_refused(fan, body, as_user):
    answer = as_user(fan).post(TIPS, body)

    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_required")
    assert Tip.objects.count() == 0


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"recipient_id": "fan"}, 422, "self_tip"),
        ({"recipient_id": "somebody"}, 422, "recipient_cannot_receive"),
        ({"recipient_id": str(uuid4())}, 422, "recipient_cannot_receive"),
        ({"amount": 1}, 422, "amount_out_of_range"),
        ({"currency": "XXX"}, 422, "currency_not_supported"),
        ({"post_id": "another's"}, 422, "post_mismatch"),
        ({"post_id": str(uuid4())}, 422, "post_mismatch"),
        ({"payment_method_id": str(uuid4())}, 422, "payment_method_not_usable"),
        ({"payment_method_id": "another's"}, 422, "payment_method_not_usable"),
        ({"amount": 500.0}, 400, "validation_error"),
        ({"amount": "500"}, 400, "validation_error"),
        ({"amount": -500}, 400, "validation_error"),
        ({"message": "x" * 501}, 400, "validation_error"),
        ({"message": "a\u202eb"}, 400, "validation_error"),
        ({"sender_id": str(uuid4())}, 400, "validation_error"),
        ({"status": "completed"}, 400, "validation_error"),
    ],
)
def test_a_tip_is_refused(refused, body, change, status, code):
    assert refused({**body, **change}) == (status, code)
    assert Tip.objects.count() == PaymentOrder.objects.count() == 0
    assert published() == []


@pytest.fixture
def refused(fan, as_user, key):
    """The answer to a tip, its body's words replaced by ids."""

    def post(body):
        stranger = make_user()
        names = {
            ("recipient_id", "fan"): fan.id,
            ("recipient_id", "somebody"): stranger.id,
            ("post_id", "another's"): make_offer(stranger.id).post_id,
            ("payment_method_id", "another's"): make_method(stranger.id).id,
        }
        body = {
            name: str(names.get((name, value), value)) if isinstance(value, str) else value
            for name, value in body.items()
        }
        answer = as_user(fan).post(TIPS, body, headers=key())
        return answer.status_code, answer.json()["code"]

    return post


def test_a_tip_may_name_a_post_of_its_recipient(*, fan, creator, offer, body, as_user, key):
    answer = as_user(fan).post(TIPS, {**body, "post_id": str(offer.post_id)}, headers=key())

    assert (answer.status_code, answer.json()["post_id"]) == (201, str(offer.post_id))


def test_a_payer_whose_cards_are_declined_again_and_again_is_stopped(
    *, fan, creator, method, body, as_user, key, background
):
    use_token(method, "tok_decline_soft")
    for _ in range(5):
        with background():
            make_tip(fan, creator, method)

    answer = as_user(fan).post(TIPS, body, headers=key())

    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_declines")
    assert Tip.objects.count() == 5


def test_an_anonymous_sender_is_hidden_from_the_recipient_everywhere(fan, creator, method, as_user, background):
    with background():
        tip = make_tip(fan, creator, method, is_anonymous=True)
        make_tip(fan, creator, method)
    client = as_user(creator)

    tips = client.get(TIPS, {"direction": "received"}).json()["results"]
    assert [(shown["is_anonymous"], shown["sender_id"]) for shown in tips] == [(False, str(fan.id)), (True, None)]
    for path in (f"{TIPS}/{tip.id}", f"/api/v1/payments/{tip.order_id}", f"/api/v1/payments?reference={tip.id}"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert str(fan.id) not in answer.content.decode()


def test_a_recipient_sees_only_tips_that_were_paid(fan, creator, method, as_user):
    tip = make_tip(fan, creator, method)

    assert as_user(creator).get(TIPS, {"direction": "received"}).json()["results"] == []
    assert as_user(creator).get(f"{TIPS}/{tip.id}").status_code == 404
    assert len(as_user(fan).get(TIPS, {"direction": "sent"}).json()["results"]) == 1


def test_a_stranger_sees_no_tip(fan, creator, method, as_user, background):
    with background():
        tip = make_tip(fan, creator, method)
    client = as_user(make_user())

    missing, foreign = client.get(f"{TIPS}/{uuid4()}"), client.get(f"{TIPS}/{tip.id}")

    assert foreign.status_code == missing.status_code == 404
    assert {**foreign.json(), "trace_id": ""} == {**missing.json(), "trace_id": ""}


@pytest.mark.parametrize(
    "query", [{}, {"direction": "sideways"}, {"direction": "sent", "recipient__email": "a@example.org"}]
)
def test_a_direction_is_needed(fan, as_user, query):
    assert as_user(fan).get(TIPS, query).status_code == 400


def test_a_page_of_tips_costs_one_query(fan, creator, method, as_user, django_assert_num_queries):
    for _ in range(3):
        make_tip(fan, creator, method)

    with django_assert_num_queries(1):
        assert len(as_user(fan).get(TIPS, {"direction": "sent"}).json()["results"]) == 3
