"""Every type of Stripe's events that we handle, each knocking in every way: who may, who may not, and what follows."""

import json
import time

import pytest
from rest_framework.test import APIClient

from eventbus.models import OutboxEvent
from payments.gateways.signatures import signed
from payments.models.ledger import LedgerEntry
from payments.models.orders import PaymentOrder
from payments.models.refunds import Refund
from payments.models.webhooks import GatewayEvent
from tests.payments.test_stripe import (
    CANCELED,
    SECRET,
    _keys,  # noqa: F401 - a fixture for every test of a module
    asked_fixture,  # noqa: F401 - a fixture
    dispute_body,
    of_order,
    order_fixture,  # noqa: F401 - a fixture
)
from tests.payments.test_stripe_refunds import REFUND_EVENTS, going_back_fixture  # noqa: F401 - a fixture

OLD = "whsec_before_the_change"
PAYMENTS = {
    "payment_intent.succeeded": "succeeded",
    "payment_intent.payment_failed": "requires_payment_method",
    "payment_intent.requires_action": "requires_action",
    "payment_intent.canceled": "canceled",
    "payment_intent.processing": "processing",
}
DISPUTES = [
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.closed",
]
HANDLED = [*PAYMENTS, *DISPUTES, *REFUND_EVENTS]

# What is wrong with the knock, and its answer.
REFUSED = {
    "another secret": ({"secret": "whsec_forged"}, (401, "bad_signature")),
    "another body": ({"altered": True}, (401, "bad_signature")),
    "no signature": ({"header": ""}, (401, "bad_signature")),
    "stale": ({"age": 302}, (400, "stale_webhook")),
    "ahead": ({"age": -302}, (400, "stale_webhook")),
    "of the other mode": ({"livemode": True}, (400, "livemode_mismatch")),
}


def knock(event, *, secret=SECRET, age=0, altered=False, header=None, livemode=False):
    """One webhook, signed and spoilt as the case says; its status and code."""
    raw = json.dumps({**event, "livemode": livemode}).encode()
    header = signed(raw, secret=secret, at=int(time.time()) - age) if header is None else header
    response = APIClient().generic(
        "POST",
        "/api/v1/webhooks/stripe",
        raw.replace(b"evt_", b"evt-") if altered else raw,
        content_type="application/json",
        headers={"Stripe-Signature": header},
    )
    return response.status_code, response.json()["code"] if response.content else None


@pytest.fixture
def told(request, event_type):
    """An event of this type about what is there, and the answers that Stripe will give when it is asked."""
    stripe_says = request.getfixturevalue("asked")
    about = request.getfixturevalue("going_back") if event_type not in PAYMENTS else None
    paid = request.getfixturevalue("order")
    if event_type in PAYMENTS:
        subject = of_order(paid, PAYMENTS[event_type])
        answers = [("get payment_intents/pi_1", 200, subject)]
        answers += [CANCELED] if event_type == "payment_intent.payment_failed" else []
    elif event_type in DISPUTES:
        subject = dispute_body("lost", payment_intent=of_order(paid, "succeeded"))
        answers = [("get disputes/dp_1", 200, subject)]
    else:
        subject = {**about[0], "status": "succeeded"}
        answers = [("get refunds/re_1", 200, subject)]
    GatewayEvent.objects.all().delete()
    return {"id": "evt_1", "object": "event", "type": event_type, "data": {"object": subject}}, answers, stripe_says


def everything():
    """All that a webhook could change."""
    return [list(model.objects.order_by("pk").values()) for model in (PaymentOrder, Refund, LedgerEntry, OutboxEvent)]


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("event_type", HANDLED)
def test_a_knock_that_is_refused_asks_nothing_and_changes_nothing(told, background, event_type, case):
    event, _, stripe_says = told
    spoilt, answer = REFUSED[case]
    before = everything()

    with background():
        assert knock(event, **spoilt) == answer

    assert (everything(), GatewayEvent.objects.count(), stripe_says) == (before, 0, [])


@pytest.mark.parametrize("secret", [SECRET, OLD])
@pytest.mark.parametrize("event_type", HANDLED)
def test_a_right_knock_of_either_secret_is_handled_once_however_often_it_comes(
    told, background, settings, event_type, secret
):
    settings.STRIPE_WEBHOOK_SECRETS = [SECRET, OLD]
    event, answers, stripe_says = told
    stripe_says += answers

    with background():
        assert knock(event, secret=secret) == (202, None)
    after = everything()
    with background():
        assert knock(event, secret=SECRET) == (200, None)
        assert knock({**event, "type": "payment_intent.canceled"}, secret=OLD) == (200, None)

    handled = GatewayEvent.objects.get()
    assert (handled.type, handled.attempts, handled.last_error) == (event_type, 1, "")
    assert handled.handled_at is not None
    assert (everything(), stripe_says) == (after, [])


@pytest.mark.parametrize("event_type", HANDLED)
def test_when_the_old_secret_is_gone_so_is_its_door(told, background, event_type):
    event, _, stripe_says = told
    before = everything()

    with background():
        assert knock(event, secret=OLD) == (401, "bad_signature")

    assert (everything(), GatewayEvent.objects.count(), stripe_says) == (before, 0, [])


@pytest.mark.parametrize("event_type", HANDLED)
def test_an_event_that_comes_after_a_later_one_changes_nothing(told, background, event_type):
    """What the late body says is old; what Stripe says when it is asked is true, and was written down before."""
    event, answers, stripe_says = told
    stripe_says += [*answers, *answers]
    with background():
        knock(event)
    after = everything()
    late = {**event["data"]["object"], "status": "requires_action", "amount": 1, "amount_received": 1}

    with background():
        assert knock({**event, "id": "evt_0", "data": {"object": late}}) == (202, None)

    assert everything() == after
    assert [row.last_error for row in GatewayEvent.objects.all()] == ["", ""]
