"""Trials: one for each fan and creator, for ever; paid for when it ends, unless it was cancelled."""

from datetime import timedelta

import pytest

from eventbus.testing import deliver, published
from subscriptions import tasks
from subscriptions.events import (
    BillingReason,
    CancelledBy,
    CancelMode,
    Change,
    SubscriptionCreated,
    SubscriptionStatus,
    SubscriptionUpdated,
)
from subscriptions.exceptions import PaymentMethodRequiredError, TrialAlreadyUsedError, TrialNotOfferedError
from subscriptions.models.history import RequestedPayment, SubscriptionPeriod, TrialUse
from subscriptions.models.subscriptions import Subscription
from subscriptions.services.cancellation import cancel, resume
from tests.subscriptions.conftest import NOW
from tests.subscriptions.factories import choose, completed, failed, forget_events, make_tier, make_user, monthly

TRIAL_END = NOW + timedelta(days=14)
INSTANT = timedelta(microseconds=1)


@pytest.fixture
def tier(creator):
    made = make_tier(creator, name="Backstage", trial_days=14)
    forget_events()
    return made


@pytest.fixture
def trying(clock, tier, fan):
    made = choose(tier, fan)
    forget_events()
    return made


def cancel_it(subscription):
    return cancel(subscription_id=subscription.id, cancelled_by=CancelledBy.SUBSCRIBER, mode=CancelMode.AT_PERIOD_END)


def test_a_trial_gives_access_at_once_and_asks_for_no_money(clock, tier, fan):
    subscription = choose(tier, fan)

    assert (subscription.status, subscription.cycle_number) == ("trialing", 0)
    assert subscription.trial_end_at == subscription.access_until == TRIAL_END
    [event] = published(SubscriptionCreated)
    assert (event.status, event.requires_payment, event.billing_request) == (SubscriptionStatus.TRIALING, False, None)
    assert event.access_until == TRIAL_END
    assert (RequestedPayment.objects.count(), SubscriptionPeriod.objects.count()) == (0, 0)
    assert TrialUse.objects.get().subscription == subscription


def test_the_first_cycle_is_asked_for_before_the_trial_ends_and_begins_there(trying, clock):
    clock.move_to(TRIAL_END - timedelta(hours=1))
    tasks.renew_subscriptions()

    [event] = published(SubscriptionUpdated)
    request = event.billing_request
    assert (event.change, request.reason, request.cycle_number) == (
        Change.RENEWAL_DUE,
        BillingReason.TRIAL_CONVERSION,
        1,
    )
    assert (request.due_at, request.period_start) == (TRIAL_END, TRIAL_END)
    clock.move_to(TRIAL_END + timedelta(minutes=1))
    deliver(completed(trying, billing_request_id=request.billing_request_id, completed_at=TRIAL_END))

    trying.refresh_from_db()
    assert (trying.status, trying.cycle_number, trying.anchor_day) == ("active", 1, 14)
    assert (trying.current_period_start, trying.started_at) == (TRIAL_END, NOW)
    assert published(SubscriptionUpdated)[-1].change is Change.TRIAL_CONVERTED


def test_a_failed_conversion_gives_grace_from_the_trials_end(trying, clock):
    clock.move_to(TRIAL_END)
    tasks.renew_subscriptions()
    deliver(failed(trying, final=False, failed_at=TRIAL_END))

    trying.refresh_from_db()
    assert (trying.status, trying.access_until) == ("past_due", TRIAL_END + timedelta(days=7))


def test_a_trial_cancelled_in_time_costs_nothing(trying, clock):
    cancel_it(trying)
    clock.move_to(TRIAL_END)
    tasks.renew_subscriptions()
    tasks.end_cancelled_subscriptions()

    trying.refresh_from_db()
    assert (trying.status, trying.access_until, trying.cycle_number) == ("cancelled", TRIAL_END, 0)
    assert RequestedPayment.objects.count() == 0


def test_a_cancellation_taken_back_is_converted_after_all(trying, clock):
    cancel_it(trying)
    resume(subscription_id=trying.id)
    clock.move_to(TRIAL_END - timedelta(hours=1))
    tasks.renew_subscriptions()

    assert RequestedPayment.objects.get().reason == "trial_conversion"


def test_a_second_trial_of_the_same_creator_is_refused_for_ever(trying, creator, fan, clock):
    cancel_it(trying)
    clock.move_to(TRIAL_END)
    tasks.end_cancelled_subscriptions()
    clock.shift(timedelta(days=4000))
    forget_events()

    for tier in (trying.tier, make_tier(creator, trial_days=30)):
        forget_events()
        for wish in (None, True):
            with pytest.raises(TrialAlreadyUsedError):
                choose(tier, fan, trial=wish)

    assert Subscription.objects.get() == trying
    assert published() == []


def test_without_a_trial_they_may_pay_at_once(trying, fan, clock):
    cancel_it(trying)
    clock.move_to(TRIAL_END)
    tasks.end_cancelled_subscriptions()

    assert choose(trying.tier, fan, trial=False).status == Subscription.Status.INCOMPLETE
    assert TrialUse.objects.count() == 1


def test_another_fan_has_a_trial_of_their_own(trying):
    assert choose(trying.tier, make_user()).status == Subscription.Status.TRIALING


def test_a_trial_takes_the_place_of_an_unpaid_choice(clock, tier, fan):
    unpaid = choose(tier, fan, trial=False)
    trial = choose(tier, fan)

    unpaid.refresh_from_db()
    assert (unpaid.status, trial.status) == ("cancelled", "trialing")
    assert trial.replaces_subscription == unpaid


def test_a_refused_trial_leaves_an_unpaid_choice_as_it_was(trying, creator, fan, clock):
    cancel_it(trying)
    clock.move_to(TRIAL_END)
    tasks.end_cancelled_subscriptions()
    unpaid = choose(trying.tier, fan, trial=False)
    forget_events()
    with pytest.raises(TrialAlreadyUsedError):
        choose(trying.tier, fan)

    unpaid.refresh_from_db()
    assert unpaid.status == Subscription.Status.INCOMPLETE
    assert published() == []


def test_a_trial_needs_something_to_charge_later(clock, tier, fan):
    with pytest.raises(PaymentMethodRequiredError):
        choose(tier, fan, payment_method_id=None)
    assert TrialUse.objects.count() == 0


@pytest.mark.parametrize(
    "terms", [{"prices": [monthly(500)], "trial_days": 0}, {"prices": [monthly(0)], "trial_days": 9}]
)
def test_where_there_is_no_trial_none_is_given(clock, creator, fan, terms):
    tier = make_tier(creator, *terms["prices"], trial_days=terms["trial_days"])
    with pytest.raises(TrialNotOfferedError):
        choose(tier, fan, trial=True)

    assert choose(tier, fan).status in {"incomplete", "active"}
    assert TrialUse.objects.count() == 0


def test_the_trials_days_are_the_creators_to_change(api, creator, tier, key):
    client = api(creator)
    changed = client.patch(f"/api/v1/tiers/{tier.id}", {"trial_days": 30}, headers={"If-Match": '"1"'})
    refused = client.patch(f"/api/v1/tiers/{tier.id}", {"trial_days": 91}, headers={"If-Match": '"2"'})

    assert (changed.status_code, changed.json()["trial_days"]) == (200, 30)
    assert (refused.status_code, refused.json()["code"]) == (400, "validation_error")


def test_a_refused_trial_says_what_to_do(api, trying, fan, key, clock):
    price = trying.price
    wish = {
        "tier_id": str(trying.tier_id),
        "price_id": str(price.id),
        "expected_amount": price.amount,
        "expected_currency": price.currency,
        "payment_method_id": str(trying.payment_method_id),
    }
    cancel_it(trying)
    clock.move_to(TRIAL_END)
    tasks.end_cancelled_subscriptions()
    refused = api(fan).post("/api/v1/subscriptions", wish, **key())
    paid = api(fan).post("/api/v1/subscriptions", {**wish, "trial": False}, **key())

    assert (refused.status_code, refused.json()["code"]) == (422, "trial_already_used")
    assert "trial set to false" in refused.json()["title"]
    assert (paid.status_code, paid.json()["status"]) == (201, "incomplete")
