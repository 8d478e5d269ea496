"""Another way to pay, and paying again what is past due."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from eventbus.testing import deliver, published
from subscriptions import tasks
from subscriptions.events import Change, SubscriptionUpdated
from subscriptions.exceptions import InvalidTransitionError, NotPastDueError
from subscriptions.models.history import RequestedPayment
from subscriptions.services.payment_method import change_payment_method, retry_payment
from tests.subscriptions.factories import completed, failed, forget_events, make_user

FEBRUARY = datetime(2031, 2, 28, 12, 0, tzinfo=UTC)


@pytest.fixture
def past_due(active, clock):
    clock.move_to(FEBRUARY)
    tasks.renew_subscriptions()
    deliver(failed(active, final=False, failed_at=FEBRUARY))
    forget_events()
    active.refresh_from_db()
    return active


def test_another_method_is_kept_for_the_next_cycle(active):
    method = uuid4()
    changed = change_payment_method(subscription_id=active.id, payment_method_id=method)

    assert changed.payment_method_id == method
    [event] = published(SubscriptionUpdated)
    assert (event.change, event.billing_request) == (Change.PAYMENT_METHOD_UPDATED, None)


def test_what_is_past_due_is_told_again_under_its_own_id_with_the_new_method(past_due):
    method, awaited = uuid4(), RequestedPayment.objects.get(state="open")
    change_payment_method(subscription_id=past_due.id, payment_method_id=method)

    [event] = published(SubscriptionUpdated)
    request = event.billing_request
    assert (request.billing_request_id, request.payment_method_id) == (awaited.pk, method)
    assert (request.cycle_number, request.amount) == (2, 500)
    assert RequestedPayment.objects.filter(cycle_number=2).count() == 1


def test_trying_again_tells_the_same_with_the_same_method(past_due):
    retry_payment(subscription_id=past_due.id)

    [event] = published(SubscriptionUpdated)
    assert event.change is Change.PAYMENT_METHOD_UPDATED
    assert event.billing_request.payment_method_id == past_due.payment_method_id


def test_after_a_final_failure_within_the_paid_period_it_is_asked_for_anew(active, clock):
    clock.move_to(FEBRUARY - timedelta(hours=1))
    tasks.renew_subscriptions()
    refused = RequestedPayment.objects.get(state="open")
    deliver(failed(active, final=True, billing_request_id=refused.pk))
    forget_events()
    change_payment_method(subscription_id=active.id, payment_method_id=uuid4())

    [event] = published(SubscriptionUpdated)
    request = event.billing_request
    assert request.billing_request_id != refused.pk
    assert (request.cycle_number, request.due_at) == (2, FEBRUARY - timedelta(hours=1))
    clock.move_to(FEBRUARY)
    tasks.give_up_unpaid_renewals()
    deliver(completed(active, cycle_number=2, billing_request_id=request.billing_request_id))
    active.refresh_from_db()
    assert (active.status, active.current_period_start) == ("active", FEBRUARY)


def test_only_what_is_past_due_is_tried_again(active):
    with pytest.raises(NotPastDueError):
        retry_payment(subscription_id=active.id)
    assert published() == []


def test_what_is_over_is_not_paid_differently(past_due):
    deliver(failed(past_due, final=True, cycle_number=2))
    forget_events()
    with pytest.raises(InvalidTransitionError):
        change_payment_method(subscription_id=past_due.id, payment_method_id=uuid4())
    assert published() == []


@pytest.mark.parametrize("path", ["payment-method", "retry-payment"])
def test_the_routes_of_the_subscriber(api, past_due, fan, key, path):
    body = {"payment_method_id": str(uuid4())} if path == "payment-method" else {}
    answer = api(fan).post(f"/api/v1/subscriptions/{past_due.id}/{path}", body, **key())

    assert (answer.status_code, answer.json()["status"]) == (202, "past_due")
    assert len(published(SubscriptionUpdated)) == 1


@pytest.mark.parametrize("path", ["payment-method", "retry-payment", "change"])
def test_what_is_not_ones_own_is_not_there(api, past_due, creator, key, path):
    body = {"payment_method_id": str(uuid4()), "price_id": str(uuid4()), "expected_amount": 1}
    for stranger in (make_user(), creator):
        answer = api(stranger).post(f"/api/v1/subscriptions/{past_due.id}/{path}", body, **key())
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert published() == []


def test_a_request_needs_its_key(api, past_due, fan):
    answer = api(fan).post(f"/api/v1/subscriptions/{past_due.id}/retry-payment", {})

    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_required")
    assert published() == []
