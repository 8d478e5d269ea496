"""What a completed payment does: the fan comes in, or stays in, once for each cycle paid."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest

from eventbus.models import ParkedEvent
from eventbus.testing import HandlingFailedError, deliver, published
from payments.events import PaymentCompleted, PaymentKind, PaymentMetadata
from subscriptions.events import CancelledBy, CancelMode, Change, RefundReason, SubscriptionStatus, SubscriptionUpdated
from subscriptions.models.history import ReceivedPayment, SubscriptionPeriod, SubscriptionTransition
from subscriptions.models.subscriptions import Subscription
from subscriptions.services.cancellation import cancel
from tests.subscriptions.factories import PAID_AT, completed, forget_events

FEBRUARY = datetime(2031, 2, 28, 12, 0, tzinfo=UTC)
MARCH = datetime(2031, 3, 31, 12, 0, tzinfo=UTC)


def test_the_first_payment_starts_the_period_when_the_money_came(incomplete):
    deliver(completed(incomplete, completed_at=PAID_AT))

    incomplete.refresh_from_db()
    assert incomplete.status == Subscription.Status.ACTIVE
    assert incomplete.cycle_number == 1
    assert incomplete.anchor_day == 31
    assert incomplete.started_at == PAID_AT
    assert (incomplete.current_period_start, incomplete.current_period_end) == (PAID_AT, FEBRUARY)
    assert incomplete.access_until == FEBRUARY
    assert incomplete.next_action_at == FEBRUARY - timedelta(hours=1)


def test_the_other_rooms_are_told_with_a_snapshot(incomplete):
    deliver(completed(incomplete))

    [event] = published(SubscriptionUpdated)
    assert event.change is Change.ACTIVATED
    assert event.previous_status is SubscriptionStatus.INCOMPLETE
    assert event.status is SubscriptionStatus.ACTIVE
    assert event.sequence == 2
    assert event.access_until == FEBRUARY
    assert event.refund_request is None
    assert "current_period_end" in event.changed_fields
    assert "next_action_at" not in event.changed_fields


def test_the_step_is_remembered_with_its_cause(incomplete):
    event = completed(incomplete)
    deliver(event)

    step = SubscriptionTransition.objects.get(subscription=incomplete, sequence=2)
    assert (step.from_status, step.to_status, step.change) == ("incomplete", "active", "activated")
    assert step.causation_event_id == event.id


def test_the_same_event_delivered_twice_counts_once(incomplete):
    event = completed(incomplete)
    deliver(event, event)

    incomplete.refresh_from_db()
    assert incomplete.cycle_number == 1
    assert len(published(SubscriptionUpdated)) == 1


@pytest.mark.parametrize("cycle", [1, None])
def test_the_same_payment_told_by_two_events_counts_once(incomplete, cycle):
    payment_id = uuid4()
    deliver(
        completed(incomplete, payment_id=payment_id, cycle_number=cycle),
        completed(incomplete, payment_id=payment_id, cycle_number=cycle),
    )

    incomplete.refresh_from_db()
    assert incomplete.cycle_number == 1
    assert SubscriptionPeriod.objects.count() == 1
    assert len(published(SubscriptionUpdated)) == 1


def test_a_second_payment_of_a_cycle_is_given_back(incomplete):
    first, second = completed(incomplete), completed(incomplete)
    deliver(first, second)

    incomplete.refresh_from_db()
    assert incomplete.cycle_number == 1
    assert SubscriptionPeriod.objects.get().payment_id == first.payment_id
    assert ReceivedPayment.objects.get(pk=second.payment_id).outcome == "duplicate"
    request = published(SubscriptionUpdated)[1].refund_request
    assert request.payment_id == second.payment_id
    assert request.reason is RefundReason.DUPLICATE
    assert request.amount is None


def test_a_duplicate_told_twice_is_given_back_once(incomplete):
    second = completed(incomplete)
    again = msgspec.structs.replace(second, id=str(uuid4()))
    deliver(completed(incomplete), second, again)

    assert [event.change for event in published(SubscriptionUpdated)] == [Change.ACTIVATED, Change.REFUND_REQUESTED]


def test_a_payment_cannot_revive_an_ended_subscription(incomplete):
    cancel(subscription_id=incomplete.id, cancelled_by=CancelledBy.SUBSCRIBER, mode=CancelMode.IMMEDIATE)
    event = completed(incomplete)
    deliver(event)

    incomplete.refresh_from_db()
    assert incomplete.status == Subscription.Status.CANCELLED
    assert incomplete.access_until is None
    assert SubscriptionPeriod.objects.count() == 0
    [update] = published(SubscriptionUpdated)
    assert update.change is Change.REFUND_REQUESTED
    assert update.refund_request.payment_id == event.payment_id
    assert update.refund_request.reason is RefundReason.SUBSCRIPTION_NOT_PAYABLE


@pytest.mark.parametrize("wrong", [{"amount": 499}, {"currency": "EUR"}])
def test_too_little_or_another_currency_is_given_back_and_the_subscription_still_waits(incomplete, wrong):
    event = completed(incomplete, **wrong)
    deliver(event)

    incomplete.refresh_from_db()
    assert incomplete.status == Subscription.Status.INCOMPLETE
    assert incomplete.access_until is None
    [update] = published(SubscriptionUpdated)
    assert update.refund_request.payment_id == event.payment_id
    assert update.refund_request.reason is RefundReason.SUBSCRIPTION_NOT_PAYABLE

    deliver(completed(incomplete))
    incomplete.refresh_from_db()
    assert incomplete.status == Subscription.Status.ACTIVE


def test_a_renewal_continues_from_the_old_end_on_the_anchor_day(active):
    deliver(completed(active, completed_at=FEBRUARY))

    active.refresh_from_db()
    assert active.cycle_number == 2
    assert (active.current_period_start, active.current_period_end) == (FEBRUARY, MARCH)
    assert active.access_until == MARCH
    assert [event.change for event in published(SubscriptionUpdated)] == [Change.RENEWED]


def test_a_payment_in_grace_continues_from_the_old_end(active):
    Subscription.objects.filter(pk=active.pk).update(
        status="past_due", past_due_at=FEBRUARY, grace_until=MARCH, access_until=MARCH
    )
    deliver(completed(active, completed_at=datetime(2031, 3, 5, tzinfo=UTC)))

    active.refresh_from_db()
    assert active.status == Subscription.Status.ACTIVE
    assert (active.current_period_start, active.current_period_end) == (FEBRUARY, MARCH)
    assert (active.past_due_at, active.grace_until) == (None, None)
    assert [event.change for event in published(SubscriptionUpdated)] == [Change.RECOVERED]


def test_a_cycle_paid_before_the_one_that_is_due_waits(incomplete):
    with pytest.raises(HandlingFailedError, match="NotYetError"):
        deliver(completed(incomplete, cycle_number=2))

    incomplete.refresh_from_db()
    assert incomplete.status == Subscription.Status.INCOMPLETE
    assert ReceivedPayment.objects.count() == 0
    assert published() == []


def test_a_payment_for_a_subscription_that_is_not_here_yet_waits(incomplete):
    stranger = uuid4()
    with pytest.raises(HandlingFailedError, match="NotYetError"):
        deliver(completed(incomplete, reference_id=stranger, metadata=PaymentMetadata(subscription_id=stranger)))

    assert ParkedEvent.objects.get().state == ParkedEvent.State.RETRYING
    assert ReceivedPayment.objects.count() == 0


def test_a_payment_that_names_no_subscription_is_buried(incomplete):
    event = completed(incomplete, metadata=PaymentMetadata())
    event = msgspec.structs.replace(event, reference_id=None)
    with pytest.raises(HandlingFailedError, match="PaymentWithoutSubscriptionError"):
        deliver(event)

    assert ParkedEvent.objects.get().state == ParkedEvent.State.DEAD


@pytest.mark.parametrize("kind", [PaymentKind.TIP, PaymentKind.POST_PURCHASE, PaymentKind("gift_card")])
def test_other_kinds_of_payment_have_no_effect(incomplete, kind):
    deliver(completed(incomplete, kind=kind))

    incomplete.refresh_from_db()
    assert incomplete.status == Subscription.Status.INCOMPLETE
    assert ReceivedPayment.objects.count() == 0
    assert published() == []


def test_another_producers_short_message_activates(incomplete):
    message = (
        f'{{"transactionId":"{uuid4()}","userId":"{incomplete.subscriber_id}","amount":500,"type":"subscription",'
        f'"metadata":{{"subscriptionId":"{incomplete.id}"}}}}'
    )
    event = PaymentCompleted.spec.decode(message.encode(), fallback_id="payment.completed:0:7")
    assert event.completed_at is None
    deliver(event, to="subscriptions")

    incomplete.refresh_from_db()
    assert incomplete.status == Subscription.Status.ACTIVE
    assert incomplete.current_period_start == event.paid_at


def test_a_cancelled_renewal_keeps_its_end_in_sight(active):
    cancel(subscription_id=active.id, cancelled_by=CancelledBy.SUBSCRIBER, mode=CancelMode.AT_PERIOD_END)
    forget_events()
    deliver(completed(active, cycle_number=2, completed_at=FEBRUARY))

    active.refresh_from_db()
    assert active.cancel_at_period_end is True
    assert active.next_action_at == MARCH
