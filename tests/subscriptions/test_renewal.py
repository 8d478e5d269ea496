"""How subscriptions go on: each next period is asked for in time, once, and paid, granted free, or let go."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from eventbus.testing import deliver, published
from subscriptions import tasks
from subscriptions.events import (
    BillingReason,
    CancelledBy,
    CancelMode,
    Change,
    EndReason,
    SubscriptionUpdated,
)
from subscriptions.models.history import RequestedPayment, SubscriptionPeriod
from subscriptions.models.subscriptions import Subscription
from subscriptions.services import renewal
from subscriptions.services.cancellation import cancel, resume
from tests.subscriptions.conftest import NOW
from tests.subscriptions.factories import (
    choose,
    completed,
    failed,
    forget_events,
    make_active,
    make_tier,
    make_user,
    monthly,
)

FEBRUARY = datetime(2031, 2, 28, 12, 0, tzinfo=UTC)
MARCH = datetime(2031, 3, 31, 12, 0, tzinfo=UTC)
ASKED_AT = FEBRUARY - timedelta(hours=1)
GIVEN_UP_AT = FEBRUARY + timedelta(days=22, hours=1)
INSTANT = timedelta(microseconds=1)


def renewed(clock, moment=ASKED_AT):
    """The clock's round at that moment, and what it told."""
    clock.move_to(moment)
    forget_events()
    tasks.renew_subscriptions()
    return published()


@pytest.fixture
def asked(active, clock):
    """A running subscription whose next period is asked for."""
    renewed(clock)
    forget_events()
    active.refresh_from_db()
    return active


def test_the_next_period_is_asked_for_before_the_present_one_ends(active, clock):
    [event] = renewed(clock)

    assert isinstance(event, SubscriptionUpdated)
    assert (event.change, event.sequence) == (Change.RENEWAL_DUE, 3)
    request = event.billing_request
    assert (request.reason, request.cycle_number) == (BillingReason.RENEWAL, 2)
    assert (request.period_start, request.period_end) == (FEBRUARY, MARCH)
    assert (request.amount, request.currency) == (500, "USD")
    assert (request.due_at, request.expires_at) == (FEBRUARY, FEBRUARY + timedelta(days=22))
    active.refresh_from_db()
    assert request.payment_method_id == active.payment_method_id
    assert (active.status, active.cycle_number, active.current_period_end) == ("active", 1, FEBRUARY)
    assert RequestedPayment.objects.get(state="open").pk == request.billing_request_id


def test_a_moment_before_it_nothing_is_asked(active, clock):
    assert renewed(clock, ASKED_AT - INSTANT) == []


def test_how_long_before_is_a_setting(clock, tier, fan, settings):
    settings.RENEWAL_LEAD_MINUTES = 5
    make_active(tier, fan, paid_at=NOW)

    assert renewed(clock) == []
    assert [event.change for event in renewed(clock, FEBRUARY - timedelta(minutes=5))] == [Change.RENEWAL_DUE]


def test_it_is_asked_once_however_often_the_clock_comes_round(asked, clock):
    assert renewed(clock, FEBRUARY) == []
    assert renewed(clock, FEBRUARY + timedelta(days=10)) == []


def test_access_goes_on_for_a_day_while_nobody_knows(asked):
    assert asked.access_until == FEBRUARY + timedelta(days=1)


def test_the_payment_goes_on_where_the_last_period_ended(asked, clock):
    clock.move_to(FEBRUARY + timedelta(minutes=3))
    deliver(completed(asked, completed_at=FEBRUARY + timedelta(minutes=2)))

    asked.refresh_from_db()
    assert (asked.status, asked.cycle_number) == ("active", 2)
    assert (asked.current_period_start, asked.current_period_end) == (FEBRUARY, MARCH)
    assert asked.access_until == MARCH
    assert asked.next_action_at == MARCH - timedelta(hours=1)
    assert [event.change for event in published()] == [Change.RENEWED]
    assert RequestedPayment.objects.get(cycle_number=2).state == "paid"


def test_the_cycle_after_that_is_asked_for_in_its_turn(asked, clock):
    deliver(completed(asked))

    [event] = renewed(clock, MARCH - timedelta(hours=1))

    assert event.billing_request.cycle_number == 3
    assert event.billing_request.period_start == MARCH


def test_a_failure_that_may_be_mended_gives_grace_and_the_payment_recovers(asked, clock):
    clock.move_to(FEBRUARY)
    deliver(failed(asked, final=False, failed_at=FEBRUARY))
    asked.refresh_from_db()
    assert (asked.status, asked.access_until) == ("past_due", FEBRUARY + timedelta(days=7))
    clock.move_to(FEBRUARY + timedelta(days=14))
    deliver(completed(asked, completed_at=FEBRUARY + timedelta(days=14)))

    asked.refresh_from_db()
    assert (asked.status, asked.current_period_start, asked.current_period_end) == ("active", FEBRUARY, MARCH)
    assert [event.change for event in published()] == [Change.PAST_DUE, Change.RECOVERED]


def test_after_the_last_attempt_it_is_over(asked, clock):
    deliver(failed(asked, final=False, failed_at=FEBRUARY))
    clock.move_to(FEBRUARY + timedelta(days=21))
    deliver(failed(asked, final=True, failed_at=FEBRUARY + timedelta(days=21)))

    asked.refresh_from_db()
    assert (asked.status, asked.end_reason) == ("expired", "payment_failed")
    assert asked.access_until == FEBRUARY + timedelta(days=7)
    assert RequestedPayment.objects.get(cycle_number=2).state == "failed"


def test_a_final_failure_before_the_period_ends_leaves_what_was_paid(asked, clock):
    deliver(failed(asked, final=True, failed_at=ASKED_AT))
    asked.refresh_from_db()
    assert (asked.status, asked.access_until) == ("past_due", FEBRUARY)

    clock.move_to(FEBRUARY)
    tasks.give_up_unpaid_renewals()

    asked.refresh_from_db()
    assert (asked.status, asked.end_reason, asked.access_until) == ("expired", "payment_failed", FEBRUARY)
    assert [event.change for event in published()] == [Change.PAST_DUE, Change.ENDED]


def test_when_payments_never_answers_the_clock_ends_it(asked, clock):
    clock.move_to(GIVEN_UP_AT - INSTANT)
    tasks.give_up_unpaid_renewals()
    asked.refresh_from_db()
    assert asked.status == Subscription.Status.ACTIVE

    clock.move_to(GIVEN_UP_AT)
    tasks.give_up_unpaid_renewals()

    asked.refresh_from_db()
    assert (asked.status, asked.end_reason) == ("expired", "payment_failed")
    assert asked.access_until == FEBRUARY + timedelta(days=1)
    assert [event.change for event in published()] == [Change.ENDED]


def test_money_that_comes_after_the_clock_gave_up_goes_back(asked, clock):
    clock.move_to(GIVEN_UP_AT)
    tasks.give_up_unpaid_renewals()
    forget_events()
    deliver(completed(asked, cycle_number=2, completed_at=GIVEN_UP_AT))

    [event] = published(SubscriptionUpdated)
    assert event.change is Change.REFUND_REQUESTED
    assert event.status == "expired"


def test_what_costs_nothing_goes_on_by_itself(clock, creator, fan):
    free = choose(make_tier(creator, monthly(0)), fan, payment_method_id=None)

    [event] = renewed(clock)

    assert (event.change, event.billing_request) == (Change.RENEWED, None)
    free.refresh_from_db()
    assert (free.cycle_number, free.current_period_start, free.access_until) == (2, FEBRUARY, MARCH)
    assert SubscriptionPeriod.objects.get(cycle_number=2).payment is None
    assert RequestedPayment.objects.count() == 0


def test_what_is_cancelled_is_not_renewed(active, clock):
    cancel(subscription_id=active.id, cancelled_by=CancelledBy.SUBSCRIBER, mode=CancelMode.AT_PERIOD_END)

    assert renewed(clock) == []
    assert renewed(clock, FEBRUARY) == []


def test_h18_cancelling_while_the_renewal_is_open_withdraws_it(asked, clock):
    cancel(subscription_id=asked.id, cancelled_by=CancelledBy.SUBSCRIBER, mode=CancelMode.AT_PERIOD_END)
    asked.refresh_from_db()
    assert asked.access_until == FEBRUARY
    # payments calls the order off and says so; that is not the subscriber's failure
    deliver(failed(asked, final=True, cycle_number=2, billing_request_id=RequestedPayment.objects.latest("due_at").pk))

    clock.move_to(FEBRUARY)
    tasks.end_cancelled_subscriptions()

    asked.refresh_from_db()
    assert (asked.status, asked.end_reason) == ("cancelled", "subscriber_request")
    assert RequestedPayment.objects.latest("due_at").state == "withdrawn"


def test_h18_taking_the_cancellation_back_asks_again(asked, clock):
    first = RequestedPayment.objects.get(state="open")
    cancel(subscription_id=asked.id, cancelled_by=CancelledBy.SUBSCRIBER, mode=CancelMode.AT_PERIOD_END)
    resume(subscription_id=asked.id)

    [event] = renewed(clock, ASKED_AT + timedelta(minutes=1))

    assert event.billing_request.cycle_number == 2
    assert event.billing_request.billing_request_id != first.pk
    deliver(failed(asked, final=True, billing_request_id=first.pk))
    asked.refresh_from_db()
    assert asked.status == Subscription.Status.ACTIVE


def test_a_payment_made_before_the_cancellation_was_heard_of_makes_it_end_a_cycle_later(asked):
    cancel(subscription_id=asked.id, cancelled_by=CancelledBy.SUBSCRIBER, mode=CancelMode.AT_PERIOD_END)
    request = RequestedPayment.objects.latest("due_at")
    deliver(completed(asked, cycle_number=2, billing_request_id=request.pk))

    asked.refresh_from_db()
    assert (asked.status, asked.cycle_number, asked.cancel_at_period_end) == ("active", 2, True)
    assert asked.next_action_at == asked.access_until == MARCH


def test_a_failure_of_a_request_that_nobody_made_is_ignored(asked):
    deliver(failed(asked, final=True, billing_request_id=uuid4()))

    asked.refresh_from_db()
    assert (asked.status, asked.sequence) == ("active", 3)
    assert published() == []


def test_a_renewal_that_the_clock_missed_by_days_is_not_charged(active, clock):
    [event] = renewed(clock, FEBRUARY + timedelta(days=3))

    assert (event.change, event.end_reason, event.billing_request) == (Change.ENDED, EndReason.TERM_ENDED, None)
    assert event.ended_at == FEBRUARY


def test_a_renewal_that_the_clock_missed_by_less_is(active, clock):
    [event] = renewed(clock, FEBRUARY + timedelta(days=3) - INSTANT)

    assert event.change is Change.RENEWAL_DUE


def test_one_that_fails_holds_up_no_other(active, tier, clock, monkeypatch, caplog):
    other = make_active(tier, make_user(), paid_at=NOW)
    original = renewal.next_cycle_request

    def fail_for_one(subscription):
        if subscription.pk == active.pk:
            raise RuntimeError("no such month")
        return original(subscription)

    monkeypatch.setattr(renewal, "next_cycle_request", fail_for_one)
    told = renewed(clock)

    assert [event.subscription_id for event in told] == [other.pk]
    assert f"Subscription {active.pk} could not be renewed" in caplog.text
    active.refresh_from_db()
    assert (active.sequence, active.next_action_at) == (2, ASKED_AT + timedelta(hours=1))
    caplog.clear()


def test_a_run_goes_on_batch_by_batch_until_nothing_is_due(tier, clock, monkeypatch):
    fans = [make_active(tier, make_user(), paid_at=NOW).pk for _ in range(5)]
    monkeypatch.setattr(renewal, "BATCH", 2)

    told = renewed(clock)

    assert sorted(event.subscription_id for event in told) == sorted(fans)


def test_a_run_that_is_cut_short_is_taken_up_by_the_next(tier, clock, monkeypatch):
    for _ in range(3):
        make_active(tier, make_user(), paid_at=NOW)
    monkeypatch.setattr(renewal, "BATCH", 2)
    monkeypatch.setattr(tasks, "RENEWAL_RUN_SECONDS", 0.0)

    assert len(renewed(clock)) == 2
    assert len(renewed(clock)) == 1


def test_a_batch_takes_the_same_statements_whatever_its_size(tier, clock):
    def statements():
        with CaptureQueriesContext(connection) as queries:
            assert renewal.renew_batch() > 0
        return len(queries)

    make_active(tier, make_user(), paid_at=NOW)
    clock.move_to(ASKED_AT)
    one = statements()
    for _ in range(7):
        make_active(tier, make_user(), paid_at=NOW)
    clock.move_to(ASKED_AT)

    assert statements() == one
