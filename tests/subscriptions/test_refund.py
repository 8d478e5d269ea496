"""What a refund does, whenever it arrives."""

from datetime import timedelta
from itertools import permutations
from uuid import uuid4

import pytest

from eventbus.testing import deliver, published
from payments.events import RefundReason, RefundSource
from subscriptions.events import (
    CancelledBy,
    CancelMode,
    CancelReason,
    RefundRequest,
    SubscriptionCancelled,
    SubscriptionUpdated,
)
from subscriptions.models.history import ReceivedPayment, SubscriptionPeriod
from subscriptions.models.subscriptions import Subscription
from subscriptions.services.cancellation import cancel
from tests.subscriptions.conftest import NOW
from tests.subscriptions.factories import PAID_AT, completed, forget_events, refunded


def test_a_refund_that_takes_access_with_it_ends_the_subscription(incomplete, clock):
    payment = completed(incomplete)
    deliver(payment)
    forget_events()
    clock.move_to(NOW + timedelta(days=2))
    deliver(refunded(incomplete, payment_id=payment.payment_id, cycle_number=1))

    incomplete.refresh_from_db()
    assert incomplete.status == Subscription.Status.CANCELLED
    assert incomplete.end_reason == Subscription.EndReason.REFUNDED
    assert incomplete.access_until == incomplete.ended_at == NOW + timedelta(days=2)
    assert SubscriptionPeriod.objects.get().refunded is True
    [event] = published(SubscriptionCancelled)
    assert (event.mode, event.cancelled_by, event.reason) == (
        CancelMode.IMMEDIATE,
        CancelledBy.SYSTEM,
        CancelReason.REFUNDED,
    )
    assert event.effective_at == event.access_until == NOW + timedelta(days=2)


def test_a_dispute_says_so(incomplete):
    payment = completed(incomplete)
    deliver(payment, refunded(incomplete, payment_id=payment.payment_id, source=RefundSource.DISPUTE))

    incomplete.refresh_from_db()
    assert incomplete.end_reason == Subscription.EndReason.DISPUTED
    assert published(SubscriptionCancelled)[0].reason is CancelReason.DISPUTED


def test_a_refund_that_leaves_access_is_only_noted(incomplete):
    payment = completed(incomplete)
    deliver(payment)
    forget_events()
    deliver(refunded(incomplete, payment_id=payment.payment_id, revoke_access=False))

    incomplete.refresh_from_db()
    assert incomplete.status == Subscription.Status.ACTIVE
    assert SubscriptionPeriod.objects.get().refunded is True
    assert published() == []


@pytest.mark.parametrize(
    ("source", "reason"), [(RefundSource.PAYEE, CancelReason.REFUNDED), (RefundSource.DISPUTE, CancelReason.DISPUTED)]
)
def test_a_refund_before_its_payment_lets_nobody_in_and_ends_what_waited_for_it(incomplete, source, reason):
    payment = completed(incomplete)
    deliver(refunded(incomplete, payment_id=payment.payment_id, source=source), payment)

    incomplete.refresh_from_db()
    assert (incomplete.status, incomplete.end_reason) == ("cancelled", reason)
    assert incomplete.access_until is None
    assert ReceivedPayment.objects.get().outcome == ReceivedPayment.Outcome.REVOKED
    [event] = published()
    assert isinstance(event, SubscriptionCancelled)
    assert (event.mode, event.cancelled_by, event.reason) == (CancelMode.IMMEDIATE, CancelledBy.SYSTEM, reason)


@pytest.mark.parametrize("is_over", [True, False], ids=["it is over", "the payment is too small"])
def test_of_money_that_pays_nothing_the_rest_is_asked_back_though_a_part_was_refunded_before(incomplete, is_over):
    if is_over:
        cancel(subscription_id=incomplete.id, cancelled_by=CancelledBy.SUBSCRIBER, mode=CancelMode.IMMEDIATE)
    forget_events()
    payment = completed(incomplete, amount=incomplete.amount if is_over else incomplete.amount - 1)
    deliver(refunded(incomplete, payment_id=payment.payment_id, refund_amount=100, is_full=False), payment)

    incomplete.refresh_from_db()
    assert incomplete.status == ("cancelled" if is_over else "incomplete")
    [event] = published(SubscriptionUpdated)
    assert event.refund_request == RefundRequest(payment_id=payment.payment_id, reason="subscription_not_payable")


def test_of_two_reasons_to_revoke_the_first_counts(incomplete):
    payment = completed(incomplete)
    refunds = [
        refunded(incomplete, payment_id=payment.payment_id, source=source)
        for source in (RefundSource.DISPUTE, RefundSource.STAFF)
    ]
    deliver(*refunds, payment)

    incomplete.refresh_from_db()
    assert incomplete.end_reason == Subscription.EndReason.DISPUTED


def test_a_revocation_that_an_earlier_release_noted_without_a_reason_is_a_refund(incomplete):
    payment = completed(incomplete)
    deliver(refunded(incomplete, payment_id=payment.payment_id))
    ReceivedPayment.objects.update(revoke_reason=None)
    deliver(payment)

    incomplete.refresh_from_db()
    assert incomplete.end_reason == Subscription.EndReason.REFUNDED


def test_a_refund_that_leaves_access_may_come_before_its_payment(incomplete):
    payment = completed(incomplete)
    deliver(refunded(incomplete, payment_id=payment.payment_id, revoke_access=False), payment)

    incomplete.refresh_from_db()
    assert incomplete.status == Subscription.Status.ACTIVE
    assert SubscriptionPeriod.objects.get().refunded is True


def test_a_refund_told_twice_counts_once(incomplete):
    payment = completed(incomplete)
    refund = refunded(incomplete, payment_id=payment.payment_id)
    deliver(payment, refund, refund, refunded(incomplete, payment_id=payment.payment_id, refund_id=refund.refund_id))

    assert len(published(SubscriptionCancelled)) == 1


def test_the_refund_of_a_past_cycle_does_not_end_the_present_one(active):
    past = SubscriptionPeriod.objects.get().payment_id
    deliver(completed(active, completed_at=active.current_period_end))
    forget_events()
    deliver(refunded(active, payment_id=past, cycle_number=1))

    active.refresh_from_db()
    assert active.status == Subscription.Status.ACTIVE
    assert SubscriptionPeriod.objects.get(cycle_number=1).refunded is True
    assert SubscriptionPeriod.objects.get(cycle_number=2).refunded is False
    assert published() == []


def test_the_refund_of_a_duplicate_does_not_touch_the_payment_that_counts(incomplete):
    first, duplicate = completed(incomplete), completed(incomplete)
    deliver(
        first,
        duplicate,
        refunded(
            incomplete, payment_id=duplicate.payment_id, reason=RefundReason.DUPLICATE, source=RefundSource.SYSTEM
        ),
    )

    incomplete.refresh_from_db()
    assert incomplete.status == Subscription.Status.ACTIVE
    assert SubscriptionPeriod.objects.get().refunded is False
    assert published(SubscriptionCancelled) == []


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_revoked_payment_never_gives_access_in_any_order(incomplete, order):
    payment_id = uuid4()
    events = [
        completed(incomplete, payment_id=payment_id),
        completed(incomplete, payment_id=payment_id),
        refunded(incomplete, payment_id=payment_id, refunded_at=PAID_AT),
    ]
    deliver(*(events[index] for index in order))

    incomplete.refresh_from_db()
    assert not Subscription.objects.with_access(NOW).exists()
    assert ReceivedPayment.objects.get().access_revoked is True
