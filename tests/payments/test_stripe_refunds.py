"""What becomes of a refund at Stripe: the payer's bank takes it, lets it wait or sends it back, perhaps late."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from eventbus.testing import published
from payments.events import PaymentRefunded
from payments.models.ledger import LedgerEntry
from payments.models.refunds import Refund
from payments.models.sales import Tip
from payments.models.webhooks import GatewayEvent
from payments.selectors import earnings_of
from payments.services.ledger import clear_order
from payments.services.refunds import refund_payment, send_refund
from payments.services.verification import first_fault
from tests.payments.test_stripe import (
    _keys,  # noqa: F401 - a fixture for every test of a module
    asked_fixture,  # noqa: F401 - a fixture
    listed,
    of_order,
    order_fixture,  # noqa: F401 - a fixture
    refund_body,
    tell,
)


@pytest.fixture(name="going_back")
def going_back_fixture(order, asked, background):
    """A refund of the order that Stripe has taken on; its body, and the refund."""
    asked.append(("get payment_intents/pi_1", 200, of_order(order, "succeeded")))
    with background():
        tell("payment_intent.succeeded", of_order(order, "succeeded"))
    refund = refund_payment(order_id=order.id, amount=None, reason="other", revoke_access=None, source="staff")
    body = refund_body(status="pending", metadata={"tributary_key": str(refund.id)})
    asked += [listed(), ("post refunds", 200, body)]
    send_refund(refund_id=refund.id)
    return body, refund


def earned_and_told(order):
    """What the creator has of the order, what of it went back, and the events of that."""
    order.refresh_from_db()
    assert first_fault() is None
    return (
        LedgerEntry.objects.of_creator(order.payee_id).total(),
        order.refunded_amount,
        len(published(PaymentRefunded)),
    )


def test_a_refund_that_waits_for_the_bank_is_not_told_and_not_sent_again(order, going_back):
    _, refund = going_back
    refund.refresh_from_db()

    assert (refund.status, refund.gateway_refund_id, earned_and_told(order)) == ("pending", "re_1", (900, 0, 0))
    with time_machine.travel(timezone.now() + timedelta(hours=5)):
        assert not Refund.objects.due(timezone.now()).exists()
    with time_machine.travel(timezone.now() + timedelta(hours=7)):
        assert Refund.objects.due(timezone.now()).get() == refund


REFUND_EVENTS = ["refund.created", "refund.updated", "charge.refund.updated", "refund.failed"]


@pytest.mark.parametrize("event_type", REFUND_EVENTS)
@pytest.mark.parametrize(
    ("status", "expected", "books"),
    [("succeeded", "succeeded", (0, 1000, 1)), ("failed", "failed", (900, 0, 0)), ("pending", "pending", (900, 0, 0))],
)
def test_each_event_of_a_refund_is_fetched_and_recorded(
    *, order, going_back, asked, background, event_type, status, expected, books
):
    body, refund = going_back
    asked.append(("get refunds/re_1", 200, {**body, "status": status, "failure_reason": None}))

    with background():
        assert tell(event_type, {**body, "status": "succeeded"}).status_code == 202

    refund.refresh_from_db()
    assert (refund.status, earned_and_told(order), asked) == (expected, books, [])


def test_a_refund_that_fails_after_it_was_told_is_taken_back_in_the_books(order, going_back, asked, background):
    body, refund = going_back
    failed = {**body, "status": "failed", "failure_reason": "lost_or_stolen_card"}
    asked.append(("get refunds/re_1", 200, {**body, "status": "succeeded"}))
    with background():
        tell("refund.updated", body)
    assert earned_and_told(order) == (0, 1000, 1)
    assert Tip.objects.get().status == "refunded"

    for late in (failed, failed, {**body, "status": "succeeded"}):
        asked.append(("get refunds/re_1", 200, late))
        with background():
            tell("refund.failed", body)

    refund.refresh_from_db()
    assert (refund.status, refund.refusal) == ("failed", "lost_or_stolen_card")
    assert earned_and_told(order) == (900, 0, 1)
    assert (order.status, Tip.objects.get().status) == ("succeeded", "completed")
    again = refund_payment(order_id=order.id, amount=None, reason="other", revoke_access=None, source="staff")
    assert again.amount == 1000


def test_a_refund_that_fails_after_its_payment_was_cleared_gives_it_back_to_what_is_payable(
    order, going_back, asked, background
):
    body, _ = going_back
    Refund.objects.update(amount=400)
    asked.append(("get refunds/re_1", 200, {**body, "status": "succeeded"}))
    with background():
        tell("refund.updated", body)
    with time_machine.travel(timezone.now() + timedelta(days=8)):
        clear_order(order_id=order.id)
    asked.append(("get refunds/re_1", 200, {**body, "status": "failed", "failure_reason": None}))

    with background():
        tell("refund.failed", body)

    assert earned_and_told(order) == (900, 0, 1)
    [earned] = earnings_of(order.payee_id)
    assert (earned.pending, earned.payable) == (0, 900)


def test_a_refund_that_nobody_here_made_waits_for_a_person(order, asked, background):
    asked.append(("get refunds/re_1", 200, refund_body()))

    with background():
        tell("refund.updated", refund_body())

    assert GatewayEvent.objects.get().last_error == "UnknownPaymentError: No refund has the key 'refund-1' at stripe"
    assert Refund.objects.count() == 0
