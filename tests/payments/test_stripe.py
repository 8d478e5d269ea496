"""The stripe gateway: the shapes of its requests, every answer in our words, every webhook we handle."""

import json
import time
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import stripe
from django.core.exceptions import ImproperlyConfigured
from rest_framework.test import APIClient

from eventbus.testing import published
from payments.encryption import decrypt
from payments.events import PaymentCompleted, PaymentRefunded
from payments.exceptions import BadSignatureError
from payments.gateways import registry
from payments.gateways.base import (
    ActionRequired,
    Captured,
    Charge,
    Declined,
    DisputeFacts,
    GatewayUnavailableError,
    Refunded,
    RefundFailed,
    RefundPending,
    RefundRefused,
    Reversal,
    StillProcessing,
    TokenRefusedError,
    Voided,
)
from payments.gateways.signatures import require_signature, signed
from payments.gateways.stripe import DECLINES, StripeGateway
from payments.models.methods import PaymentMethod
from payments.models.orders import PaymentOrder
from payments.models.webhooks import GatewayEvent
from payments.services.charging import claim
from payments.services.methods import add_method
from tests.payments import stripe_mock
from tests.payments.factories import make_tip

SECRET = "whsec_test"
CHARGE = Charge(key="order:1", amount=1000, currency="USD", token="cus_1/pm_1")
REVERSAL = Reversal(key="refund-1", charge_key="order:1", gateway_payment_id="pi_1", amount=400, currency="USD")


@pytest.fixture(autouse=True)
def _keys(settings):
    settings.STRIPE_SECRET_KEY = "sk_test_123"
    settings.STRIPE_WEBHOOK_SECRETS = [SECRET]


class Scripted(stripe.HTTPClient):
    """Stripe as a list of answers, each to the next request whose method and path begin as it says."""

    name = "scripted"

    def __init__(self, *answers):
        super().__init__()
        self.answers, self.asked = list(answers), []

    def request(self, method, url, headers, post_data=None, *, _usage=None):
        path = urlsplit(url).path.removeprefix("/v1/")
        sent = {name: values[0] for name, values in parse_qs(post_data or urlsplit(url).query or "").items()}
        self.asked.append((method, path, sent, headers.get("Idempotency-Key")))
        wanted, status, body = self.answers.pop(0)
        assert f"{method} {path}".startswith(wanted), f"{method} {path} instead of {wanted}"
        if status is None:
            raise stripe.APIConnectionError("the line is dead")
        return json.dumps(body), status, {}

    def close(self):
        pass

    def _sleep_time_seconds(self, *args, **kwargs):
        return 0


def gateway(*answers):
    return StripeGateway(Scripted(*answers))


def intent(status, **fields):
    body = {
        "id": "pi_1",
        "object": "payment_intent",
        "status": status,
        "amount": 1000,
        "amount_received": 1000 if status == "succeeded" else 0,
        "currency": "usd",
        "client_secret": "pi_1_secret",
        "metadata": {"tributary_key": "order:1"},
        "last_payment_error": None,
        "latest_charge": None,
        "next_action": None,
    }
    return {**body, **fields}


def refused(code, decline_code=None, **fields):
    error = {"type": "card_error", "code": code, "decline_code": decline_code, "message": "No."}
    failed = intent("requires_payment_method", last_payment_error=error)
    return "post payment_intents", 402, {"error": {**error, "payment_intent": failed, **fields}}


CANCELED = ("post payment_intents/pi_1/cancel", 200, intent("canceled"))
INVALID = {"error": {"type": "invalid_request_error", "code": "parameter_invalid", "message": "No such thing"}}


# --- the shapes of requests, judged by Stripe's own description -------------------------------------------------------


@pytest.fixture(scope="module")
def mock():
    with stripe_mock.running() as address:
        yield address


@pytest.fixture
def mocked(mock, settings):
    settings.STRIPE_API_BASE = mock
    return StripeGateway()


def test_the_mock_refuses_a_wrong_shape(mocked):
    with pytest.raises(stripe.InvalidRequestError, match="additional properties"):
        mocked.client.v1.payment_intents.create({"amount": 1, "currency": "usd", "nonsense": True})


def test_a_card_is_described(mocked):
    details = mocked.describe("pm_1")

    assert len(details.last4) == 4
    assert details.charge_token.endswith("/pm_1")
    assert details.charge_token not in repr(details)


@pytest.mark.parametrize("present", [True, False])
def test_a_charge_has_the_right_shape(mocked, settings, present):
    settings.STRIPE_RETURN_URL = "https://example.com/back"
    charge = Charge(key="order:1", amount=1000, currency="USD", token="cus_1/pm_1", payer_is_present=present)

    outcome = mocked.create_payment(charge)

    # The mock's only PaymentIntent waits for a payment method; an invalid request would be a processing_error.
    assert outcome == Declined(failure_code="card_declined", decline_type="soft")


def test_every_other_request_has_the_right_shape(mocked):
    assert mocked.retrieve("order:1") is None
    assert mocked.retrieve("order:1", gateway_payment_id="pi_1") is None
    assert isinstance(mocked.confirm("order:1", gateway_payment_id="pi_1"), StillProcessing)
    with pytest.raises(GatewayUnavailableError, match="does not find"):
        mocked.cancel("order:1", gateway_payment_id="pi_1")
    assert isinstance(mocked.refund(REVERSAL), Refunded)
    assert mocked.client.v1.payment_intents.cancel("pi_1").object == "payment_intent"
    mocked.retrieve_dispute("dp_1")


# --- answers in our words ---------------------------------------------------------------------------------------------


def test_a_capture_is_told_with_its_fee():
    charge = {"id": "ch_1", "object": "charge", "balance_transaction": {"fee": 59, "currency": "usd", "id": "txn_1"}}
    asked = gateway(("post payment_intents", 200, intent("succeeded", latest_charge=charge)))

    outcome = asked.create_payment(CHARGE)

    assert outcome == Captured(gateway_payment_id="pi_1", amount=1000, currency="USD", processor_fee=59)


@pytest.mark.parametrize("balance", [None, "txn_1", {"fee": 59, "currency": "eur", "id": "txn_1"}])
def test_a_fee_that_is_not_known_in_the_payments_currency_is_none(balance):
    charge = {"id": "ch_1", "object": "charge", "balance_transaction": balance}
    asked = gateway(("post payment_intents", 200, intent("succeeded", latest_charge=charge)))

    assert asked.create_payment(CHARGE).processor_fee == 0


@pytest.mark.parametrize(
    ("present", "sent", "unsent"), [(True, "setup_future_usage", "off_session"), (False, "off_session", "return_url")]
)
def test_what_is_asked_of_stripe(settings, present, sent, unsent):
    settings.STRIPE_RETURN_URL = "https://example.com/back"
    http = Scripted(("post payment_intents", 200, intent("succeeded")))
    charge = Charge(key="order:1", amount=1000, currency="USD", token="cus_1/pm_1", payer_is_present=present)

    StripeGateway(http).create_payment(charge)

    [(_, _, params, idempotency_key)] = http.asked
    assert idempotency_key == params["metadata[tributary_key]"] == "order:1"
    assert (params["amount"], params["currency"], params["customer"]) == ("1000", "usd", "cus_1")
    assert (params["payment_method"], params["confirm"]) == ("pm_1", "true")
    assert sent in params
    assert unsent not in params


@pytest.mark.parametrize("code", [*DECLINES, "generic_decline", "something_new"])
def test_every_decline_is_told_in_our_words_and_made_final(code):
    http = Scripted(refused("card_declined", code), CANCELED)

    outcome = StripeGateway(http).create_payment(CHARGE)

    assert (outcome.failure_code, outcome.decline_type) == DECLINES.get(code, ("card_declined", "soft"))
    assert [path for _, path, _, _ in http.asked] == ["payment_intents", "payment_intents/pi_1/cancel"]


def test_a_code_without_a_decline_code_counts():
    assert gateway(refused("expired_card"), CANCELED).create_payment(CHARGE) == Declined("expired_card", "hard", "No.")


def test_a_decline_that_was_paid_meanwhile_is_a_capture():
    asked = gateway(
        refused("card_declined", "insufficient_funds"),
        ("post payment_intents/pi_1/cancel", 400, INVALID),
        ("get payment_intents/pi_1", 200, intent("succeeded")),
    )

    assert isinstance(asked.create_payment(CHARGE), Captured)


def test_a_request_that_stripe_cannot_read_moves_no_money():
    outcome = gateway(("post payment_intents", 400, INVALID)).create_payment(CHARGE)

    assert (outcome.failure_code, outcome.decline_type) == ("processing_error", "none")


@pytest.mark.parametrize("status", [401, 403, 409, 429, 500, 503])
def test_whatever_says_nothing_of_the_money_is_no_answer(status):
    body = {"error": {"type": "api_error", "message": "Sorry"}}
    asked = gateway(*[("post payment_intents", status, body)] * 3)

    with pytest.raises(GatewayUnavailableError):
        asked.create_payment(CHARGE)


def test_a_dead_line_is_no_answer_and_the_same_key_is_used_again():
    http = Scripted(*[("post payment_intents", None, None)] * 3)

    with pytest.raises(GatewayUnavailableError):
        StripeGateway(http).create_payment(CHARGE)
    assert {key for _, _, _, key in http.asked} == {"order:1"}


@pytest.mark.parametrize(
    ("next_action", "expected"),
    [
        (
            {"type": "redirect_to_url", "redirect_to_url": {"url": "https://bank.example", "return_url": None}},
            {"type": "redirect", "url": "https://bank.example"},
        ),
        ({"type": "use_stripe_sdk", "use_stripe_sdk": {}}, {"type": "use_stripe_sdk", "client_secret": "pi_1_secret"}),
    ],
)
def test_a_payer_who_must_act_is_told_how(next_action, expected):
    asked = gateway(("post payment_intents", 200, intent("requires_action", next_action=next_action)))

    assert asked.create_payment(CHARGE) == ActionRequired(gateway_payment_id="pi_1", next_action=expected)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("processing", StillProcessing), ("requires_confirmation", StillProcessing), ("canceled", Voided)],
)
def test_other_states(status, outcome):
    assert isinstance(
        gateway(("get payment_intents/pi_1", 200, intent(status))).retrieve("order:1", gateway_payment_id="pi_1"),
        outcome,
    )


def test_a_decline_whose_answer_was_lost_is_still_a_decline():
    error = {"code": "card_declined", "decline_code": "insufficient_funds", "message": "No."}
    asked = gateway(("get payment_intents/pi_1", 200, intent("canceled", last_payment_error=error)))

    outcome = asked.retrieve("order:1", gateway_payment_id="pi_1")

    assert (outcome.failure_code, outcome.decline_type) == ("insufficient_funds", "soft")


def test_a_charge_is_found_by_its_key_when_the_id_is_another_attempts():
    another = intent("canceled", metadata={"tributary_key": "order:0"})
    http = Scripted(
        ("get payment_intents/pi_0", 200, another),
        ("get payment_intents/search", 200, {"object": "search_result", "data": [another, intent("succeeded")]}),
    )

    outcome = StripeGateway(http).retrieve("order:1", gateway_payment_id="pi_0")

    assert isinstance(outcome, Captured)
    assert http.asked[1][2]["query"] == "metadata['tributary_key']:'order:1'"


def test_what_stripe_never_saw_is_none():
    assert gateway(("get payment_intents/search", 200, {"object": "search_result", "data": []})).retrieve("x:1") is None


def test_a_cancellation_that_comes_too_late_says_what_is_true():
    asked = gateway(
        ("get payment_intents/pi_1", 200, intent("requires_action")),
        ("post payment_intents/pi_1/cancel", 400, INVALID),
        ("get payment_intents/pi_1", 200, intent("succeeded")),
    )

    assert isinstance(asked.cancel("order:1", gateway_payment_id="pi_1"), Captured)


def refund_body(**fields):
    body = {"id": "re_1", "object": "refund", "status": "succeeded", "metadata": {"tributary_key": "refund-1"}}
    return {**body, **fields}


def listed(*refunds):
    return "get refunds", 200, {"object": "list", "data": list(refunds), "has_more": False, "url": "/v1/refunds"}


def test_a_refund_is_made_once_under_its_key():
    http = Scripted(listed(refund_body(metadata={})), ("post refunds", 200, refund_body()))

    assert StripeGateway(http).refund(REVERSAL) == Refunded("re_1")
    _, _, params, key = http.asked[1]
    assert (params["payment_intent"], params["amount"], key) == ("pi_1", "400", "refund-1")


def test_a_refund_whose_answer_was_lost_is_found():
    assert gateway(listed(refund_body())).refund(REVERSAL) == Refunded("re_1")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (("post refunds", 400, {"error": {**INVALID["error"], "code": "charge_disputed"}}), "charge_disputed"),
    ],
)
def test_a_refund_that_stripe_refuses(answer, code):
    assert gateway(listed(), answer).refund(REVERSAL) == RefundRefused(code)


REFUND_STATUSES = [
    ("succeeded", None, Refunded("re_1")),
    ("pending", None, RefundPending("re_1")),
    ("requires_action", None, RefundPending("re_1")),
    ("failed", "expired_or_canceled_card", RefundFailed("re_1", "expired_or_canceled_card")),
    ("canceled", None, RefundFailed("re_1", "canceled")),
]


@pytest.mark.parametrize(("status", "reason", "answer"), REFUND_STATUSES)
def test_a_refund_is_told_in_our_words(status, reason, answer):
    body = refund_body(status=status, failure_reason=reason)

    assert gateway(listed(), ("post refunds", 200, body)).refund(REVERSAL) == answer
    assert gateway(("get refunds/re_1", 200, body)).retrieve_refund("re_1") == answer


def test_a_refund_that_stripe_does_not_know_is_none():
    assert gateway(("get refunds/re_1", 404, INVALID)).retrieve_refund("re_1") is None


def dispute_body(status="needs_response", **fields):
    body = {
        "id": "dp_1",
        "object": "dispute",
        "status": status,
        "amount": 1000,
        "currency": "usd",
        "reason": "fraudulent",
        "payment_intent": intent("succeeded"),
    }
    return {**body, **fields}


@pytest.mark.parametrize(
    ("status", "ours"),
    [
        ("needs_response", "needs_response"),
        ("under_review", "under_review"),
        ("won", "won"),
        ("prevented", "won"),
        ("lost", "lost"),
    ],
)
def test_a_dispute_is_told_in_our_words(status, ours):
    told = gateway(("get disputes/dp_1", 200, dispute_body(status))).retrieve_dispute("dp_1")

    assert told == DisputeFacts("dp_1", "order:1", 1000, "USD", ours, "fraudulent")


@pytest.mark.parametrize("answer", [(200, dispute_body("warning_needs_response")), (404, INVALID)])
def test_an_inquiry_is_no_dispute(answer):
    assert gateway(("get disputes/dp_1", *answer)).retrieve_dispute("dp_1") is None


def method_body(**fields):
    card = {"brand": "visa", "last4": "4242", "exp_month": 4, "exp_year": 2034}
    return {"id": "pm_1", "object": "payment_method", "type": "card", "card": card, "customer": None, **fields}


def test_a_card_is_tied_to_a_new_customer():
    http = Scripted(
        ("get payment_methods/pm_1", 200, method_body()),
        ("post customers", 200, {"id": "cus_9", "object": "customer"}),
        ("post setup_intents", 200, {"id": "seti_1", "object": "setup_intent", "status": "succeeded"}),
    )

    details = StripeGateway(http).describe("pm_1")

    assert (details.brand, details.last4, details.charge_token) == ("visa", "4242", "cus_9/pm_1")
    assert http.asked[2][2]["usage"] == "off_session"


def test_a_card_that_has_a_customer_keeps_it():
    assert (
        gateway(("get payment_methods/pm_1", 200, method_body(customer="cus_1"))).describe("pm_1").charge_token
        == "cus_1/pm_1"
    )


@pytest.mark.parametrize(
    "answers",
    [
        [("get payment_methods", 404, INVALID)],
        [("get payment_methods", 200, method_body(type="sepa_debit", card=None))],
        [
            ("get payment_methods", 200, method_body()),
            ("post customers", 200, {"id": "cus_9", "object": "customer"}),
            ("post setup_intents", 402, {"error": {"type": "card_error", "code": "card_declined", "message": "No."}}),
        ],
    ],
)
def test_what_is_no_good_card_is_refused(answers):
    with pytest.raises(TokenRefusedError):
        gateway(*answers).describe("pm_1")


def test_it_needs_its_key(settings):
    settings.STRIPE_SECRET_KEY = ""

    with pytest.raises(ImproperlyConfigured, match="STRIPE_SECRET_KEY"):
        registry.gateway_named("stripe")


# --- webhooks ---------------------------------------------------------------------------------------------------------


def test_our_signatures_are_stripes():
    raw = b'{"id": "evt_1"}'
    header = stripe.WebhookSignature.generate_signature_header(raw.decode(), SECRET)
    require_signature(raw, header=header, secrets=[SECRET])
    with pytest.raises(BadSignatureError):
        require_signature(raw, header=header, secrets=["whsec_other"])

    ours = signed(raw, secret=SECRET, at=int(time.time()))
    assert stripe.WebhookSignature.verify_header(raw.decode(), ours, SECRET, tolerance=300)


@pytest.fixture(name="asked")
def asked_fixture(monkeypatch):
    """Stripe as a list of answers, for the whole platform."""
    answers = []
    http = Scripted()
    http.answers = answers
    monkeypatch.setitem(registry.GATEWAYS, "stripe", lambda: StripeGateway(http))
    return answers


@pytest.fixture(name="order")
def order_fixture(fan, creator, settings, asked):
    """A tip at Stripe whose answer has not come."""
    settings.PAYMENT_GATEWAY = "stripe"
    asked.append(("get payment_methods", 200, method_body(customer="cus_1")))
    details = registry.gateway_named("stripe").describe("pm_1")
    card = add_method(owner_id=fan.id, token="pm_1", details=details)
    assert decrypt(PaymentMethod.objects.get().encrypted_token) == "cus_1/pm_1"
    tip = make_tip(fan, creator, card)
    claim(order_id=tip.order_id)
    return tip.order


def tell(event_type, subject, *, livemode=False):
    event = {
        "id": f"evt_{time.time_ns()}",
        "object": "event",
        "type": event_type,
        "livemode": livemode,
        "data": {"object": subject},
    }
    raw = json.dumps(event)
    header = stripe.WebhookSignature.generate_signature_header(raw, SECRET)
    return APIClient().generic(
        "POST",
        "/api/v1/webhooks/stripe",
        raw.encode(),
        content_type="application/json",
        headers={"Stripe-Signature": header},
    )


def of_order(order, status, **fields):
    return intent(status, metadata={"tributary_key": f"{order.id}:1"}, **fields)


@pytest.mark.parametrize(
    ("event_type", "status", "expected"),
    [
        ("payment_intent.succeeded", "succeeded", "succeeded"),
        ("payment_intent.payment_failed", "requires_payment_method", "failed"),
        ("payment_intent.requires_action", "requires_action", "requires_action"),
        ("payment_intent.canceled", "canceled", "cancelled"),
        ("payment_intent.processing", "processing", "processing"),
    ],
)
def test_each_event_of_a_payment_is_fetched_and_recorded(*, order, asked, background, event_type, status, expected):
    now = of_order(order, status)
    asked.append(("get payment_intents/pi_1", 200, now))
    if status == "requires_payment_method":
        asked.append(CANCELED)

    with background():
        # What the body says of the state is not what is asked.
        assert tell(event_type, {**now, "status": "succeeded", "amount_received": 1}).status_code == 202

    order.refresh_from_db()
    assert (order.status, GatewayEvent.objects.get().last_error, asked) == (expected, "", [])


@pytest.mark.parametrize(
    "event_type",
    ["charge.dispute.created", "charge.dispute.updated", "charge.dispute.funds_withdrawn", "charge.dispute.closed"],
)
def test_each_event_of_a_dispute_is_fetched_and_recorded(order, asked, background, event_type):
    asked.append(("get payment_intents/pi_1", 200, of_order(order, "succeeded")))
    with background():
        tell("payment_intent.succeeded", of_order(order, "succeeded"))
    contested = dispute_body("lost", payment_intent=of_order(order, "succeeded"))
    asked.append(("get disputes/dp_1", 200, contested))

    with background():
        tell(event_type, {**contested, "status": "needs_response", "payment_intent": "pi_1"})

    order.refresh_from_db()
    assert (order.status, len(published(PaymentCompleted))) == ("reversed", 1)
    assert [event.source for event in published(PaymentRefunded)] == ["dispute"]


@pytest.mark.parametrize(
    ("event_type", "subject"),
    [
        ("refund.updated", refund_body(metadata={})),
        ("payment_intent.succeeded", intent("succeeded", metadata={})),
        ("charge.dispute.created", dispute_body("warning_needs_response")),
        ("customer.created", {"id": "cus_1", "object": "customer"}),
        ("balance.available", {"object": "balance"}),
    ],
)
def test_events_of_others_are_kept_and_nothing_follows(db, asked, background, event_type, subject):
    with background():
        assert tell(event_type, subject).status_code == 202

    assert GatewayEvent.objects.get().handled_at is not None


def test_live_money_does_not_knock_at_a_test_installation(db, asked, settings):
    assert tell("payment_intent.succeeded", intent("succeeded"), livemode=True).json()["code"] == "livemode_mismatch"
    settings.STRIPE_SECRET_KEY = "sk_live_123"
    assert tell("payment_intent.succeeded", intent("succeeded")).json()["code"] == "livemode_mismatch"
    assert tell("payment_intent.succeeded", intent("succeeded"), livemode=True).status_code == 202
    assert GatewayEvent.objects.count() == 1


def test_another_amount_than_asked_is_not_recorded(order, asked, background):
    asked.append(("get payment_intents/pi_1", 200, of_order(order, "succeeded", amount_received=1)))

    with background():
        tell("payment_intent.succeeded", of_order(order, "succeeded"))

    assert GatewayEvent.objects.get().last_error.startswith("GatewayMismatchError")
    assert PaymentOrder.objects.get().status == "processing"
    assert timedelta(0) < GatewayEvent.objects.get().next_attempt_at - GatewayEvent.objects.get().received_at
