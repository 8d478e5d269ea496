"""What the payer and the clock may do with an open payment."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from eventbus.testing import published
from payments import tasks
from payments.events import FailureCode, PaymentCompleted, PaymentFailed, PostPurchased
from payments.exceptions import InvalidTransitionError, PaymentExpiredError
from payments.models.orders import PaymentAttempt, PaymentOrder
from payments.models.sandbox import SandboxCharge
from payments.services import charging
from payments.services.charging import claim, confirm_payment
from payments.services.orders import cancel_payment
from payments.services.outcomes import TIME_TO_ACT
from tests.payments.factories import make_purchase, use_token


@pytest.fixture
def waiting(fan, offer, method, background):
    """A purchase whose payer has to confirm it."""
    use_token(method, "tok_3ds")
    with background():
        purchase = make_purchase(fan, offer, method)
    purchase.refresh_from_db()
    return purchase


def test_the_payer_is_told_what_to_do(waiting):
    assert (waiting.status, waiting.order.status) == ("pending", "requires_action")
    assert waiting.order.next_action["type"] == "redirect"
    assert waiting.order.next_action["url"].startswith("https://sandbox.invalid/")
    assert published() == []


def test_a_confirmed_payment_is_captured(waiting, background):
    with background():
        confirm_payment(order_id=waiting.order_id)

    waiting.refresh_from_db()
    assert (waiting.status, waiting.order.status, waiting.order.next_action) == ("completed", "succeeded", None)
    assert [type(event) for event in published()] == [PaymentCompleted, PostPurchased]


def test_a_confirmation_that_fails_is_a_failure(waiting, background):
    SandboxCharge.objects.update(token="tok_3ds_fail")

    with background():
        confirm_payment(order_id=waiting.order_id)

    waiting.refresh_from_db()
    assert (waiting.status, waiting.order.status) == ("failed", "failed")
    [failed] = published()
    assert failed.failure_code is FailureCode.AUTHENTICATION_FAILED


def test_a_confirmation_whose_call_is_lost_is_made_good(waiting, background):
    confirm_payment(order_id=waiting.order_id)

    with time_machine.travel(timezone.now() + charging.STALE_AFTER + timedelta(seconds=1)), background():
        tasks.charge_due_orders()

    waiting.refresh_from_db()
    assert waiting.status == "completed"


def test_a_confirmation_after_the_time_to_act_is_refused(waiting):
    with time_machine.travel(timezone.now() + TIME_TO_ACT + timedelta(seconds=1)), pytest.raises(PaymentExpiredError):
        confirm_payment(order_id=waiting.order_id)

    waiting.order.refresh_from_db()
    assert waiting.order.status == "requires_action"
    assert PaymentAttempt.objects.get().confirmed_at is None


def test_a_payment_is_confirmed_once(waiting, background):
    with background():
        confirm_payment(order_id=waiting.order_id)

    with pytest.raises(InvalidTransitionError):
        confirm_payment(order_id=waiting.order_id)

    assert len(published(PaymentCompleted)) == 1


def test_time_runs_out_for_a_payer_who_does_not_act(waiting, background):
    with background():
        tasks.expire_orders()
    waiting.refresh_from_db()
    assert waiting.status == "pending"

    with time_machine.travel(timezone.now() + TIME_TO_ACT + timedelta(seconds=1)), background():
        tasks.expire_orders()

    waiting.refresh_from_db()
    assert (waiting.status, waiting.order.status) == ("void", "expired")
    [failed] = published()
    assert isinstance(failed, PaymentFailed)
    assert (failed.failure_code, failed.final) == (FailureCode.EXPIRED, True)
    assert SandboxCharge.objects.get().status == "cancelled"
    assert PaymentAttempt.objects.get().status == "cancelled"


def test_a_payer_cancels_what_waits_for_them(waiting, background):
    with background():
        cancel_payment(order_id=waiting.order_id)

    waiting.refresh_from_db()
    assert (waiting.status, waiting.order.status) == ("void", "cancelled")
    [failed] = published()
    assert failed.failure_code is FailureCode.CANCELLED_BY_PAYER
    assert SandboxCharge.objects.get().status == "cancelled"


def test_a_void_whose_call_is_lost_is_made_good(waiting, background):
    cancel_payment(order_id=waiting.order_id)
    assert SandboxCharge.objects.get().status == "requires_action"

    with background():
        tasks.void_due()

    assert SandboxCharge.objects.get().status == "cancelled"


def test_what_is_at_the_gateway_cannot_be_cancelled(fan, offer, method):
    purchase = make_purchase(fan, offer, method)
    claim(order_id=purchase.order_id)

    with pytest.raises(InvalidTransitionError):
        cancel_payment(order_id=purchase.order_id)

    assert PaymentOrder.objects.get().status == "processing"
    assert published() == []


def test_a_cancelled_order_is_never_charged(fan, offer, method, background):
    purchase = make_purchase(fan, offer, method)
    cancel_payment(order_id=purchase.order_id)

    charging.charge(order_id=purchase.order_id)

    assert SandboxCharge.objects.count() == 0
    with background():
        again = make_purchase(fan, offer, method)
    again.refresh_from_db()
    assert again.status == "completed"
