"""From a pending order to what the gateway says of it."""

from datetime import timedelta

import pytest
import time_machine
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from eventbus.testing import published
from payments import tasks
from payments.events import (
    DeclineType,
    FailureCode,
    PaymentCompleted,
    PaymentFailed,
    PaymentKind,
    PaymentRefunded,
    PostPurchased,
    TipSent,
)
from payments.exceptions import GatewayMismatchError
from payments.gateways.base import Captured
from payments.gateways.registry import current_gateway
from payments.models.methods import PaymentMethod
from payments.models.orders import PaymentAttempt, PaymentOrder
from payments.models.sandbox import SandboxCharge
from payments.services import charging
from payments.services.charging import charge, claim
from payments.services.orders import cancel_payment
from payments.services.outcomes import record_outcome
from tests.payments.factories import make_purchase, make_tip, use_token


@pytest.fixture
def purchase_with(fan, offer, method, background):
    """A purchase paid with a card of this behaviour."""

    def purchase(token):
        use_token(method, token)
        with background():
            bought = make_purchase(fan, offer, method)
        bought.refresh_from_db()
        return bought

    return purchase


def test_a_tip_is_captured_and_told(fan, creator, method, background):
    with background():
        tip = make_tip(fan, creator, method, message="Thanks", is_anonymous=True)

    tip.refresh_from_db()
    order = tip.order
    assert (tip.status, order.status, order.attempt_count) == ("completed", "succeeded", 1)
    assert (order.platform_fee_amount, order.processor_fee_amount, order.creator_net_amount) == (100, 0, 900)
    [completed] = published(PaymentCompleted)
    assert completed.payment_id == order.id
    assert (completed.key, completed.sequence, completed.kind) == (str(tip.id), 1, PaymentKind.TIP)
    assert completed.metadata.tip_id == tip.id
    assert completed.metadata.subscription_id is None
    assert completed.amount == 1000
    assert completed.platform_fee_amount + completed.processor_fee_amount + completed.creator_net_amount == 1000
    [sent] = published(TipSent)
    assert (sent.tip_id, sent.sender_id, sent.recipient_id) == (tip.id, fan.id, creator.id)
    assert (sent.creator_net_amount, sent.is_anonymous, sent.has_message) == (900, True, True)
    assert b"Thanks" not in sent.encode()


def test_a_purchase_is_captured_and_told(fan, offer, method, background):
    with background():
        purchase = make_purchase(fan, offer, method)

    purchase.refresh_from_db()
    assert purchase.status == "completed"
    [completed] = published(PaymentCompleted)
    assert completed.encode().count(b'"type":"ppv"') == 1
    assert (completed.metadata.purchase_id, completed.metadata.post_id) == (purchase.id, offer.post_id)
    [bought] = published(PostPurchased)
    assert (bought.purchase_id, bought.payment_id, bought.buyer_id) == (purchase.id, purchase.order_id, fan.id)
    assert (bought.amount, bought.price_version, bought.access_expires_at) == (900, 3, None)


def test_nothing_is_asked_before_the_commit(fan, creator, method):
    tip = make_tip(fan, creator, method)

    assert tip.order.status == "pending"
    assert SandboxCharge.objects.count() == 0
    assert published() == []


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("tok_decline_soft", (FailureCode.INSUFFICIENT_FUNDS, DeclineType.SOFT, "active")),
        ("tok_decline_hard", (FailureCode.EXPIRED_CARD, DeclineType.HARD, "invalid")),
    ],
)
def test_a_decline_is_final_and_a_hard_one_ends_the_card(purchase_with, token, expected):
    purchase = purchase_with(token)

    assert (purchase.status, purchase.order.status) == ("failed", "failed")
    [failed] = published()
    assert isinstance(failed, PaymentFailed)
    assert (failed.final, failed.attempt_number) == (True, 1)
    assert (failed.failure_code, failed.decline_type, PaymentMethod.objects.get().status) == expected
    assert b"declined by the sandbox" not in failed.encode()


def test_an_invalid_method_fails_without_asking_the_gateway(fan, creator, method):
    tip = make_tip(fan, creator, method)
    PaymentMethod.objects.update(status="invalid")

    charge(order_id=tip.order_id)

    tip.refresh_from_db()
    assert (tip.status, tip.order.status, tip.order.failure_code) == ("failed", "failed", "invalid_method")
    assert SandboxCharge.objects.count() == 0
    assert PaymentAttempt.objects.count() == 0


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("tok_timeout_then_ok", ("succeeded", [PaymentCompleted, PostPurchased])),
        ("tok_timeout_then_fail", ("failed", [PaymentFailed])),
    ],
)
def test_a_lost_answer_is_looked_up_and_never_guessed(purchase_with, background, token, expected):
    order = purchase_with(token).order
    assert order.status == "processing"
    assert published() == []

    with background():
        tasks.charge_due_orders()
    order.refresh_from_db()
    assert order.status == "processing"

    with time_machine.travel(timezone.now() + charging.STALE_AFTER + timedelta(seconds=1)), background():
        tasks.charge_due_orders()

    order.refresh_from_db()
    assert (order.status, [type(event) for event in published()]) == expected
    assert order.attempt_count == SandboxCharge.objects.count() == 1


def test_a_worker_that_died_before_asking_is_made_good_under_the_same_key(fan, creator, method, background):
    tip = make_tip(fan, creator, method)
    attempt = claim(order_id=tip.order_id)

    with time_machine.travel(timezone.now() + charging.STALE_AFTER + timedelta(seconds=1)), background():
        tasks.charge_due_orders()

    tip.order.refresh_from_db()
    assert tip.order.status == "succeeded"
    assert SandboxCharge.objects.get().idempotency_key == attempt.gateway_idempotency_key == f"{tip.order_id}:1"


def test_the_sweeper_charges_what_a_lost_call_left_behind(fan, creator, method, background):
    tip = make_tip(fan, creator, method)
    with background():
        tasks.charge_due_orders()
    tip.order.refresh_from_db()
    assert tip.order.status == "pending"

    with time_machine.travel(timezone.now() + tasks.LEFT_BEHIND + timedelta(seconds=1)), background():
        tasks.charge_due_orders()

    tip.order.refresh_from_db()
    assert tip.order.status == "succeeded"


def test_the_same_answer_twice_counts_once(fan, creator, method):
    tip = make_tip(fan, creator, method)
    attempt = claim(order_id=tip.order_id)
    outcome = Captured(gateway_payment_id="g1", amount=1000, currency="USD", processor_fee=59)

    record_outcome(attempt_id=attempt.id, outcome=outcome)
    record_outcome(attempt_id=attempt.id, outcome=outcome)

    order = PaymentOrder.objects.get()
    assert (order.platform_fee_amount, order.processor_fee_amount, order.creator_net_amount) == (100, 59, 841)
    assert [type(event) for event in published()] == [PaymentCompleted, TipSent]


@pytest.mark.parametrize(("amount", "currency"), [(999, "USD"), (1000, "EUR")])
def test_a_capture_of_something_else_is_not_recorded(fan, creator, method, amount, currency):
    tip = make_tip(fan, creator, method)
    attempt = claim(order_id=tip.order_id)

    with pytest.raises(GatewayMismatchError):
        record_outcome(
            attempt_id=attempt.id, outcome=Captured(gateway_payment_id="g1", amount=amount, currency=currency)
        )

    tip.refresh_from_db()
    assert (tip.status, tip.order.status) == ("pending", "processing")
    assert published() == []


def test_money_that_comes_after_the_end_is_recorded_and_given_back(fan, creator, method, background):
    use_token(method, "tok_3ds")
    with background():
        tip = make_tip(fan, creator, method)
    SandboxCharge.objects.update(status="captured")  # the payer acted, and nobody told us
    with background():
        cancel_payment(order_id=tip.order_id)

    tip.refresh_from_db()
    order = tip.order
    assert (order.status, order.captured_late, order.refunded_amount, tip.status) == ("refunded", True, 1000, "void")
    assert [type(event) for event in published()] == [PaymentFailed, PaymentCompleted, PaymentRefunded]
    assert [event.sequence for event in published()] == [1, 2, 3]
    assert published(TipSent) == []


def test_the_sandbox_stays_shut_where_money_is_real(settings):
    settings.ALLOW_SANDBOX_GATEWAY = False

    with pytest.raises(ImproperlyConfigured, match="ALLOW_SANDBOX_GATEWAY"):
        current_gateway()


def test_an_unknown_gateway_is_named(settings):
    settings.PAYMENT_GATEWAY = "acme"

    with pytest.raises(ImproperlyConfigured, match="'acme'"):
        current_gateway()
