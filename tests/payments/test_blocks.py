"""Between two of whom one blocks the other no money is begun to move."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.services import block_user, unblock_user
from eventbus.testing import deliver, published
from payments.events import FailureCode, PaymentFailed
from payments.models.orders import PaymentAttempt, PaymentOrder
from payments.models.sales import PostPurchase, Tip
from payments.models.sandbox import SandboxCharge
from payments.services.charging import charge
from subscriptions.events import BillingReason, Change
from tests.payments.factories import SubscriptionStory, billing_request, make_purchase, make_tip, use_token


@pytest.fixture(params=["the payer blocks", "the payee blocks"])
def apart(request, fan, creator):
    """Puts a block between the two."""
    pair = (fan, creator) if request.param == "the payer blocks" else (creator, fan)
    return lambda: block_user(blocker_id=pair[0].pk, blocked_id=pair[1].pk)


@pytest.fixture
def renewal(fan, creator, method):
    """The order of a subscription's second cycle, not charged yet."""
    story, now = SubscriptionStory(fan.id, creator.id, method.id), timezone.now()
    request = billing_request(
        reason=BillingReason.RENEWAL,
        cycle_number=2,
        period_start=now,
        period_end=now + timedelta(days=30),
        expires_at=now + timedelta(days=22),
        payment_method_id=method.id,
    )
    deliver(story.updated(2, change=Change.RENEWAL_DUE, request=request), to="payments")
    return PaymentOrder.objects.get()


def test_nobody_tips_across_a_block(*, fan, creator, method, as_user, key, apart):
    body = {"recipient_id": str(creator.id), "amount": 500, "currency": "USD", "payment_method_id": str(method.id)}
    block = apart()

    answer = as_user(fan).post("/api/v1/tips", body, headers=key())

    assert (answer.status_code, answer.json()["code"]) == (403, "blocked")
    assert (Tip.objects.count(), PaymentOrder.objects.count(), published()) == (0, 0, [])

    unblock_user(blocker_id=block.blocker_id, blocked_id=block.blocked_id)
    assert as_user(fan).post("/api/v1/tips", body, headers=key()).status_code == 201


def test_a_post_behind_a_block_is_bought_as_one_that_is_not_there(*, fan, offer, method, as_user, key, apart):
    body = {"post_id": str(offer.post_id), "payment_method_id": str(method.id)}
    seen = {"expected_amount": offer.amount, "expected_currency": offer.currency}
    apart()

    answer = as_user(fan).post("/api/v1/post-purchases", {**body, **seen}, headers=key())

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (PostPurchase.objects.count(), PaymentOrder.objects.count(), published()) == (0, 0, [])


def test_what_was_asked_for_before_the_block_is_not_charged_after_it(
    *, fan, creator, offer, method, background, apart, renewal
):
    with background():
        tip, purchase = make_tip(fan, creator, method), make_purchase(fan, offer, method)
        apart()
    charge(order_id=renewal.pk)

    assert set(PaymentOrder.objects.values_list("status", "failure_code")) == {("cancelled", "voided")}
    assert (PaymentAttempt.objects.count(), SandboxCharge.objects.count()) == (0, 0)
    for sale in (tip, purchase):
        sale.refresh_from_db()
        assert sale.status == "void"
    told = published(PaymentFailed)
    assert {event.reference_id for event in told} == {tip.pk, purchase.pk, renewal.reference_id}
    assert {(event.failure_code, event.final) for event in told} == {(FailureCode.VOIDED, True)}


def test_a_declined_renewal_is_not_tried_again_after_a_block(method, apart, renewal):
    use_token(method, "tok_decline_soft")
    charge(order_id=renewal.pk)
    renewal.refresh_from_db()
    assert (renewal.status, SandboxCharge.objects.count()) == ("retry_scheduled", 1)
    use_token(method, "tok_ok")
    apart()

    PaymentOrder.objects.update(next_attempt_at=timezone.now())
    charge(order_id=renewal.pk)

    renewal.refresh_from_db()
    assert (renewal.status, renewal.attempt_count, SandboxCharge.objects.count()) == ("cancelled", 2, 1)


def test_what_is_paid_stays_paid(*, fan, offer, method, background, apart):
    with background():
        purchase = make_purchase(fan, offer, method)

    apart()

    purchase.refresh_from_db()
    assert (purchase.status, purchase.order.status, purchase.order.refunded_amount) == ("completed", "succeeded", 0)
