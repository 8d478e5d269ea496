"""A renewal that is declined: tried again on its days, with a new method at once, and ended when its time is up."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.urls import reverse

from accounts.models import User
from eventbus.testing import deliver, published
from payments import checks, tasks
from payments.events import PaymentCompleted, PaymentFailed
from payments.exceptions import InvalidTransitionError
from payments.models.methods import PaymentMethod
from payments.models.orders import PaymentAttempt, PaymentOrder
from payments.models.sandbox import SandboxCharge
from payments.services import charging
from payments.services.charging import claim
from payments.services.dunning import retry_order
from payments.services.orders import cancel_payment
from payments.services.outcomes import TIME_TO_ACT
from subscriptions.events import BillingReason, Change
from tests.accounts.factories import make_user
from tests.payments.factories import SubscriptionStory, billing_request, make_method, use_token

START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.fixture
def clock():
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture
def story(clock, fan, creator, method):
    return SubscriptionStory(fan.id, creator.id, method.id)


@pytest.fixture
def pay(background):
    """Deliver events to payments and do the work they ask for."""

    def work(*events):
        with background():
            deliver(*events, to="payments")

    return work


@pytest.fixture
def day(clock, background):
    """Move to so many days after the start, and let the clock's work be done."""

    def move(days, **more):
        clock.move_to(START + timedelta(days=days, **more), tick=False)
        for task in (tasks.charge_due_orders, tasks.expire_orders, tasks.void_due):
            with background():
                task()

    return move


def renewal(story, *, days=30, **fields):
    """A renewal's billing request that ends so many days after the start."""
    defaults = {
        "reason": BillingReason.RENEWAL,
        "cycle_number": 2,
        "period_start": START,
        "period_end": START + timedelta(days=28),
        "due_at": START,
        "expires_at": START + timedelta(days=days),
        "payment_method_id": story.method_id,
    }
    return billing_request(**{**defaults, **fields})


def due(story, **fields):
    return story.updated(2, change=Change.RENEWAL_DUE, request=renewal(story, **fields))


def updated_method(story, sequence, request, method_id):
    fields = {name: getattr(request, name) for name in request.__struct_fields__}
    return story.updated(
        sequence,
        change=Change.PAYMENT_METHOD_UPDATED,
        request=billing_request(**{**fields, "payment_method_id": method_id}),
    )


def failures():
    """Each failure: its attempt, whether it is final, and the day of the next attempt."""
    return [
        (event.attempt_number, event.final, event.next_attempt_at and (event.next_attempt_at - START).days)
        for event in published(PaymentFailed)
    ]


def attempts():
    return list(PaymentAttempt.objects.order_by("number").values_list("number", "trigger", "status"))


def test_a_soft_decline_is_tried_again_on_its_days_and_then_ends(story, pay, day, method):
    use_token(method, "tok_decline_soft")
    pay(due(story))
    for number in range(1, 30):
        day(number)

    assert failures() == [(1, False, 2), (2, False, 7), (3, False, 14), (4, False, 21), (5, True, None)]
    assert attempts() == [(1, "renewal", "declined"), *[(number, "dunning", "declined") for number in range(2, 6)]]
    assert [event.sequence for event in published(PaymentFailed)] == [1, 2, 3, 4, 5]
    assert PaymentOrder.objects.get().status == "failed"
    assert {event.failure_code for event in published(PaymentFailed)} == {"insufficient_funds"}


def test_a_retry_that_is_paid_completes_the_cycle(story, pay, day, method):
    use_token(method, "tok_decline_soft")
    pay(due(story))
    use_token(method, "tok_ok")
    day(1, hours=23)
    assert PaymentOrder.objects.get().status == "retry_scheduled"
    day(2)

    order = PaymentOrder.objects.get()
    assert (order.status, order.failure_code, order.attempt_count) == ("succeeded", None, 2)
    [completed] = published(PaymentCompleted)
    assert (completed.attempt_number, completed.cycle_number, completed.sequence) == (2, 2, 2)
    assert SandboxCharge.objects.get(status="captured").idempotency_key == f"{order.id}:2"


def test_the_billing_requests_end_bounds_the_retries(story, pay, day, method):
    use_token(method, "tok_decline_soft")
    pay(due(story, days=10))
    for number in range(1, 10):
        day(number)
    assert failures() == [(1, False, 2), (2, False, 7), (3, False, None)]
    assert PaymentOrder.objects.get().status == "retry_scheduled"
    day(10)

    assert failures()[3:] == [(3, True, None)]
    order = PaymentOrder.objects.get()
    assert (order.status, order.failure_code, order.decline_type) == ("failed", "insufficient_funds", "soft")


def test_a_hard_decline_waits_for_another_method_until_the_end(story, pay, day, method):
    use_token(method, "tok_decline_hard")
    pay(due(story))
    for number in range(1, 30):
        day(number)
    assert failures() == [(1, False, None)]
    assert len(attempts()) == 1
    day(30)

    assert failures() == [(1, False, None), (1, True, None)]
    assert PaymentOrder.objects.get().failure_code == "expired_card"


def test_a_new_method_is_charged_at_once(story, pay, method, fan):
    use_token(method, "tok_decline_hard")
    event = due(story)
    pay(event)
    fresh = make_method(fan.id, token="tok_ok:new")

    pay(updated_method(story, 3, event.billing_request, fresh.id))

    order = PaymentOrder.objects.get()
    assert (order.status, order.payment_method_id) == ("succeeded", fresh.id)
    assert attempts() == [(1, "renewal", "declined"), (2, "method_update", "succeeded")]


def test_the_same_method_again_is_the_payers_own_retry(story, pay, method):
    use_token(method, "tok_decline_soft")
    event = due(story)
    pay(event)
    use_token(method, "tok_ok")

    pay(story.updated(3, change=Change.PAYMENT_METHOD_UPDATED))

    assert attempts() == [(1, "renewal", "declined"), (2, "customer_retry", "succeeded")]


def test_a_retry_is_asked_once_however_often_it_is_told(story, pay, method):
    use_token(method, "tok_decline_soft")
    event = due(story)
    again = updated_method(story, 3, event.billing_request, method.id)

    pay(event, again, again)
    pay(
        updated_method(story, 3, event.billing_request, method.id),
        updated_method(story, 1, event.billing_request, method.id),
    )

    assert len(attempts()) == 2


def test_a_scheduled_retry_stays_where_it_was_after_the_payers_own(story, pay, method, day):
    use_token(method, "tok_decline_soft")
    event = due(story)
    pay(event)
    day(1)
    pay(updated_method(story, 3, event.billing_request, method.id))

    assert failures() == [(1, False, 2), (2, False, 2)]


def test_another_persons_method_is_not_used(story, pay, method):
    use_token(method, "tok_decline_hard")
    event = due(story)
    pay(event)

    pay(updated_method(story, 3, event.billing_request, make_method(make_user().id).id))

    order = PaymentOrder.objects.get()
    assert (order.status, order.payment_method_id) == ("retry_scheduled", method.id)
    assert SandboxCharge.objects.filter(status="captured").count() == 0


def test_a_method_named_while_the_gateway_is_asked_is_used_when_it_declines(story, pay, background, fan, method):
    use_token(method, "tok_decline_soft")
    event = due(story)
    deliver(event, to="payments")
    order = PaymentOrder.objects.get()
    attempt = claim(order_id=order.id)
    fresh = make_method(fan.id, token="tok_ok:new")
    pay(updated_method(story, 3, event.billing_request, fresh.id))
    assert attempts() == [(1, "renewal", "processing")]

    with background():
        charging.ask(attempt, lambda gateway: gateway.create_payment(charging.charge_of(attempt)))

    assert attempts() == [(1, "renewal", "declined"), (2, "method_update", "succeeded")]
    assert PaymentOrder.objects.get().payment_method_id == fresh.id


def test_a_retry_without_an_answer_is_looked_up_under_its_own_key(story, pay, day, method):
    use_token(method, "tok_decline_soft")
    pay(due(story))
    use_token(method, "tok_timeout_then_ok")
    day(2)
    assert attempts()[1:] == [(2, "dunning", "processing")]
    day(2, seconds=30)
    assert attempts()[1:] == [(2, "dunning", "processing")]
    day(2, minutes=2)

    assert attempts() == [(1, "renewal", "declined"), (2, "dunning", "succeeded")]
    assert sorted(charge.idempotency_key[-2:] for charge in SandboxCharge.objects.all()) == [":1", ":2"]


def test_a_payer_who_does_not_confirm_is_asked_again_later(story, pay, day, method):
    use_token(method, "tok_3ds")
    pay(due(story))
    assert PaymentOrder.objects.get().status == "requires_action"
    day(0, minutes=TIME_TO_ACT.seconds // 60 - 1)
    assert failures() == []
    day(0, minutes=TIME_TO_ACT.seconds // 60)

    assert attempts() == [(1, "renewal", "cancelled")]
    assert SandboxCharge.objects.get().status == "cancelled"
    [failed] = published(PaymentFailed)
    assert (failed.failure_code, failed.final) == ("authentication_required", False)
    day(3)
    assert attempts()[1:] == [(2, "dunning", "requires_action")]


def test_a_confirmation_that_was_not_heard_of_is_found_before_another_attempt(story, pay, day, method):
    use_token(method, "tok_3ds")
    pay(due(story))
    SandboxCharge.objects.update(status="captured")
    day(1)

    assert PaymentOrder.objects.get().status == "succeeded"
    assert failures() == []
    assert len(attempts()) == 1


def test_a_first_cycle_is_never_tried_again(story, pay, method):
    use_token(method, "tok_decline_soft")

    pay(story.created())

    assert failures() == [(1, True, None)]


def test_a_change_of_tier_is_never_tried_again(story, pay, method):
    use_token(method, "tok_decline_hard")

    pay(due(story, reason=BillingReason.PRORATION))

    assert failures() == [(1, True, None)]


def test_a_cycle_without_a_method_waits_for_one(story, pay, fan, method):
    PaymentMethod.objects.update(status="invalid")
    event = due(story)
    pay(event)
    assert [(failed.failure_code, failed.final) for failed in published(PaymentFailed)] == [("invalid_method", False)]

    pay(updated_method(story, 3, event.billing_request, make_method(fan.id, token="tok_ok:new").id))

    assert PaymentOrder.objects.get().status == "succeeded"
    assert [key[-2:] for key in SandboxCharge.objects.values_list("idempotency_key", flat=True)] == [":1"]


def test_the_end_of_the_subscription_ends_the_waiting(story, pay, day, method):
    use_token(method, "tok_decline_soft")
    event = due(story)
    pay(event)

    pay(story.ended(3), updated_method(story, 4, event.billing_request, method.id))
    day(2)

    assert (PaymentOrder.objects.get().status, len(attempts())) == ("cancelled", 1)
    assert failures()[-1] == (1, True, None)


def test_the_payer_may_call_a_waiting_payment_off(story, pay, day, method):
    use_token(method, "tok_decline_soft")
    pay(due(story))

    cancel_payment(order_id=PaymentOrder.objects.get().id)
    day(2)

    assert len(attempts()) == 1
    assert [event.failure_code for event in published(PaymentFailed)][-1] == "cancelled_by_payer"


def test_who_tests_cards_gets_no_attempt_out_of_turn(story, pay, fan, method):
    use_token(method, "tok_decline_soft")
    event = due(story)
    pay(event)
    for sequence in range(3, 20):
        pay(updated_method(story, sequence, event.billing_request, method.id))

    assert len(attempts()) == 5
    order = PaymentOrder.objects.get()
    assert (order.status, (order.next_attempt_at - START).days) == ("retry_scheduled", 2)


def test_staff_may_charge_again(client, story, pay, background, method):
    use_token(method, "tok_decline_soft")
    pay(due(story))
    use_token(method, "tok_ok")
    client.force_login(make_user(is_staff=True, is_superuser=True))

    with background():
        client.post(
            reverse("admin:payments_paymentorder_changelist"),
            {
                "action": "charge_again",
                "_selected_action": [str(PaymentOrder.objects.get().id)],
                "confirmed": "yes",
                "reason": "They called",
            },
        )

    assert attempts() == [(1, "renewal", "declined"), (2, "admin", "succeeded")]
    with pytest.raises(InvalidTransitionError, match="succeeded"):
        retry_order(order_id=PaymentOrder.objects.get().id)


def test_only_the_payer_sees_when_it_is_tried_again(as_user, story, pay, creator, method):
    use_token(method, "tok_decline_soft")
    pay(due(story))
    path = f"/api/v1/payments/{PaymentOrder.objects.get().id}"

    assert as_user(User.objects.get(pk=method.owner_id)).get(path).json()["next_attempt_at"] == "2026-02-02T12:00:00Z"
    assert as_user(creator).get(path).json()["next_attempt_at"] is None


@pytest.mark.parametrize("days", [[], [0, 2], [2, 2], [7, 2], [-1], [2, 22]])
def test_days_out_of_order_are_an_error(settings, days):
    settings.DUNNING_DAYS = days

    assert [error.id for error in checks.retries_come_one_after_another(None)] == ["payments.E004"]
