"""What payments does for subscriptions, in whatever order their events arrive."""

from datetime import timedelta
from itertools import permutations
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.services import suspend_user
from eventbus.testing import HandlingFailedError, deliver, published
from payments.events import FailureCode, PaymentCompleted, PaymentFailed, PaymentKind, PaymentRefunded
from payments.models.orders import PaymentOrder
from payments.models.projections import SubscriptionRef
from payments.models.refunds import Refund
from payments.models.sandbox import SandboxCharge, SandboxRefund
from payments.services.charging import ask, charge, charge_of, claim
from subscriptions.events import (
    CancelMode,
    Change,
    RefundPolicy,
    RefundReason,
    RefundRequest,
    SubscriptionStatus,
)
from tests.payments.factories import SubscriptionStory, billing_request, make_method, use_token


@pytest.fixture
def story(fan, creator, method):
    return SubscriptionStory(fan.id, creator.id, method.id)


@pytest.fixture
def pay(background):
    """Deliver events to payments and do the work they ask for."""

    def work(*events):
        with background():
            deliver(*events, to="payments")

    return work


def test_the_first_cycle_is_charged_as_asked(story, pay):
    created = story.created()

    pay(created)

    order = PaymentOrder.objects.get()
    assert (order.kind, order.reference_id, order.cycle_number) == ("subscription", story.subscription_id, 1)
    assert (order.amount, order.currency, order.status) == (1299, "USD", "succeeded")
    [completed] = published()
    assert isinstance(completed, PaymentCompleted)
    assert (completed.kind, completed.key) == (PaymentKind.SUBSCRIPTION, str(story.subscription_id))
    assert completed.billing_request_id == created.billing_request.billing_request_id
    assert (completed.cycle_number, completed.period_start, completed.period_end) == (1, None, None)
    assert completed.metadata.subscription_id == story.subscription_id


def test_a_subscription_without_money_due_opens_no_order(story, pay):
    pay(story.updated(1, status=SubscriptionStatus.TRIALING))

    assert SubscriptionRef.objects.get().status == "trialing"
    assert PaymentOrder.objects.count() == 0


def test_one_billing_request_is_charged_once_however_often_it_is_told(story, pay):
    request = billing_request(payment_method_id=story.method_id)

    pay(story.created(request=request), story.created(request=request), story.updated(2, request=request))
    pay(story.updated(3, request=billing_request(payment_method_id=story.method_id)))

    assert PaymentOrder.objects.count() == 1
    assert SandboxCharge.objects.count() == 1
    assert len(published(PaymentCompleted)) == 1


def test_a_decline_of_the_first_cycle_is_final(story, pay, method):
    use_token(method, "tok_decline_soft")

    pay(story.created())

    [failed] = published()
    assert isinstance(failed, PaymentFailed)
    assert (failed.final, failed.next_attempt_at, failed.cycle_number) == (True, None, 1)


@pytest.mark.parametrize("whose", ["nobody", "unknown", "another", "removed"])
def test_a_method_that_is_not_the_subscribers_fails_at_once(story, pay, method, creator, whose):
    if whose == "removed":
        method.status = "removed"
        method.save(update_fields=["status"])
    named = {"nobody": None, "unknown": uuid4(), "another": make_method(creator.id).id, "removed": method.id}

    pay(story.created(request=billing_request(payment_method_id=named[whose])))

    assert PaymentOrder.objects.get().status == "failed"
    [failed] = published()
    assert (failed.failure_code, failed.final) == (FailureCode.INVALID_METHOD, True)
    assert SandboxCharge.objects.count() == 0


def test_a_billing_request_that_comes_too_late_expires(story, pay):
    past = timezone.now() - timedelta(seconds=1)

    pay(story.created(request=billing_request(payment_method_id=story.method_id, expires_at=past)))

    assert PaymentOrder.objects.get().status == "expired"
    [failed] = published()
    assert (failed.failure_code, failed.final) == (FailureCode.EXPIRED, True)
    assert SandboxCharge.objects.count() == 0


def test_a_cycle_that_is_due_later_waits(story, pay):
    later = timezone.now() + timedelta(days=1)

    pay(story.created(request=billing_request(payment_method_id=story.method_id, due_at=later)))

    assert PaymentOrder.objects.get().status == "pending"
    assert SandboxCharge.objects.count() == 0


def test_a_suspended_fan_is_not_charged(story, pay, fan):
    suspend_user(user_id=fan.id, reason="fraud")

    pay(story.created())

    assert PaymentOrder.objects.get().status == "cancelled"
    assert [event.failure_code for event in published(PaymentFailed)] == [FailureCode.VOIDED]
    assert SandboxCharge.objects.count() == 0


@pytest.mark.parametrize("who", ["fan", "creator"])
def test_who_is_suspended_before_the_cycle_is_due_moves_no_money(*, story, pay, fan, creator, who):
    later = timezone.now() + timedelta(days=1)
    pay(story.created(request=billing_request(payment_method_id=story.method_id, due_at=later)))
    order = PaymentOrder.objects.get()
    suspend_user(user_id={"fan": fan, "creator": creator}[who].id, reason="fraud")

    PaymentOrder.objects.update(next_attempt_at=timezone.now())
    charge(order_id=order.pk)

    order.refresh_from_db()
    assert (order.status, order.failure_code, SandboxCharge.objects.count()) == ("cancelled", "voided", 0)
    assert [(event.failure_code, event.final) for event in published(PaymentFailed)] == [(FailureCode.VOIDED, True)]


@pytest.mark.parametrize("wrong", [{"amount": 0}, {"currency": "XXX"}])
def test_what_cannot_be_charged_is_a_dead_letter(story, pay, wrong):
    with pytest.raises(HandlingFailedError, match="InvalidBillingRequestError"):
        pay(story.created(request=billing_request(payment_method_id=story.method_id, **wrong)))

    assert PaymentOrder.objects.count() == 0
    assert SubscriptionRef.objects.count() == 0


def test_a_subscription_that_ended_is_never_charged_in_any_order(fan, creator, method, background):
    for order_of in permutations(range(3)):
        story = SubscriptionStory(fan.id, creator.id, method.id)
        renewal = billing_request(
            payment_method_id=method.id,
            cycle_number=2,
            period_start=timezone.now(),
            period_end=timezone.now() + timedelta(days=30),
        )
        events = [story.created(), story.updated(2, change=Change.RENEWAL_DUE, request=renewal), story.ended(3)]

        deliver(*[events[index] for index in order_of], to="payments")

        statuses = set(PaymentOrder.objects.filter(reference_id=story.subscription_id).values_list("status", flat=True))
        ref = SubscriptionRef.objects.get(pk=story.subscription_id)
        assert statuses <= {"cancelled"}, order_of
        assert (ref.status, ref.source_sequence) == ("expired", 3), order_of
    assert SandboxCharge.objects.count() == 0


def test_a_scheduled_cancellation_calls_off_later_cycles_in_any_order(fan, creator, method):
    ends = timezone.now() + timedelta(days=3)
    for order_of in permutations(range(2)):
        story = SubscriptionStory(fan.id, creator.id, method.id)
        renewal = billing_request(
            payment_method_id=method.id, cycle_number=2, period_start=ends, period_end=ends + timedelta(days=30)
        )
        events = [
            story.updated(2, change=Change.RENEWAL_DUE, request=renewal),
            story.cancelled(3, mode=CancelMode.AT_PERIOD_END, at=ends),
        ]

        deliver(*[events[index] for index in order_of], to="payments")

        assert not PaymentOrder.objects.filter(reference_id=story.subscription_id).exclude(status="cancelled").exists()


def test_a_late_cancellation_spares_the_cycle_asked_for_after_it_was_taken_back(story, pay, method):
    ends = timezone.now() + timedelta(days=3)
    renewal = billing_request(
        payment_method_id=method.id, cycle_number=2, period_start=ends, period_end=ends + timedelta(days=30)
    )

    deliver(
        story.updated(7, change=Change.RENEWAL_DUE, request=renewal),
        story.cancelled(5, mode=CancelMode.AT_PERIOD_END, at=ends),
        to="payments",
    )

    assert PaymentOrder.objects.get().status == "pending"


def test_money_for_a_subscription_that_ended_meanwhile_goes_back(story, background):
    deliver(story.created(), to="payments")
    order = PaymentOrder.objects.get()
    attempt = claim(order_id=order.id)
    deliver(story.ended(2), to="payments")
    order.refresh_from_db()
    assert order.status == "processing"

    with background():
        ask(attempt, lambda gateway: gateway.create_payment(charge_of(attempt)))

    order.refresh_from_db()
    assert (order.status, order.refunded_amount) == ("refunded", 1299)
    assert Refund.objects.get().reason == "subscription_not_payable"
    assert [type(event) for event in published()] == [PaymentCompleted, PaymentRefunded]


def test_a_refund_request_is_done_once(story, pay):
    pay(story.created())
    order = PaymentOrder.objects.get()
    wanted = RefundRequest(payment_id=order.id, reason=RefundReason.DUPLICATE)

    pay(story.updated(2, change=Change.REFUND_REQUESTED, refund=wanted))
    pay(story.updated(3, change=Change.REFUND_REQUESTED, refund=wanted))

    order.refresh_from_db()
    assert (order.status, SandboxRefund.objects.get().amount) == ("refunded", 1299)
    assert [event.reason for event in published(PaymentRefunded)] == ["duplicate"]


def test_a_partial_refund_request_is_done_once(story, pay):
    pay(story.created())
    wanted = RefundRequest(payment_id=PaymentOrder.objects.get().id, reason=RefundReason.PRORATED, amount=300)

    pay(story.updated(2, change=Change.REFUND_REQUESTED, refund=wanted))
    pay(story.updated(3, change=Change.REFUND_REQUESTED, refund=wanted))

    order = PaymentOrder.objects.get()
    assert (order.status, order.refunded_amount) == ("partially_refunded", 300)


def test_a_refund_of_what_was_never_paid_here_is_a_dead_letter(story, pay):
    wanted = RefundRequest(payment_id=uuid4(), reason=RefundReason.DUPLICATE)

    with pytest.raises(HandlingFailedError, match="UnknownPaymentError"):
        pay(story.updated(2, refund=wanted))

    assert Refund.objects.count() == 0


def test_an_unknown_refund_reason_has_no_effect(story, pay):
    pay(story.created())

    pay(story.updated(2, refund=RefundRequest(payment_id=PaymentOrder.objects.get().id, reason=RefundReason("whim"))))

    assert Refund.objects.count() == 0


def test_an_unknown_status_has_no_effect(story, pay):
    pay(story.created(status=SubscriptionStatus("hibernating")))

    assert SubscriptionRef.objects.count() == 0
    assert PaymentOrder.objects.count() == 0


@pytest.mark.parametrize(
    ("policy", "given_back"), [(RefundPolicy.NONE, 0), (RefundPolicy.FULL, 1299), (RefundPolicy.PRORATED, 866)]
)
def test_an_immediate_cancellation_gives_back_what_its_policy_says(story, pay, policy, given_back):
    pay(story.created())
    start = timezone.now() - timedelta(days=10)
    period = {"current_period_start": start, "current_period_end": start + timedelta(days=30)}
    at = start + timedelta(days=10)

    pay(story.cancelled(3, policy=policy, at=at, **period), story.cancelled(3, policy=policy, at=at, **period))

    order = PaymentOrder.objects.get()
    assert (order.refunded_amount, SubscriptionRef.objects.get().status) == (given_back, "cancelled")
    assert [event.revoke_access for event in published(PaymentRefunded)] == ([False] if given_back else [])


def test_an_immediate_cancellation_ends_the_open_order(story, fan):
    deliver(story.created(), to="payments")

    deliver(story.cancelled(2), story.cancelled(2), to="payments")

    order = PaymentOrder.objects.get()
    assert (order.status, order.failure_code) == ("cancelled", "voided")
    assert [event.failure_code for event in published(PaymentFailed)] == [FailureCode.VOIDED]
    charge(order_id=order.id)
    assert SandboxCharge.objects.count() == 0
