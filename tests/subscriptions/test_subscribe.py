"""How a subscription begins, and when it does not."""

from datetime import timedelta
from uuid import uuid4

import pytest

from eventbus.testing import published
from subscriptions.events import (
    BillingReason,
    CancelledBy,
    CancelMode,
    Change,
    EndReason,
    SubscriptionCancelled,
    SubscriptionCreated,
)
from subscriptions.exceptions import (
    AlreadySubscribedError,
    OwnTierError,
    PaymentMethodRequiredError,
    PriceChangedError,
    TierFullError,
    TierNotAvailableError,
)
from subscriptions.models.history import SubscriptionPeriod, SubscriptionTransition
from subscriptions.models.subscriptions import Subscription
from subscriptions.services.cancellation import cancel
from subscriptions.services.tiers import archive_tier, deactivate_price
from tests.subscriptions.conftest import NOW
from tests.subscriptions.factories import (
    choose,
    forget_events,
    make_active,
    make_creator,
    make_tier,
    make_user,
    monthly,
    price_of,
)


def assert_nothing_happened(subscriptions=0):
    assert Subscription.objects.count() == subscriptions
    assert SubscriptionTransition.objects.filter(sequence__gt=1).count() == 0
    assert published() == []


def test_a_paid_tier_waits_for_its_money_and_gives_no_access(clock, tier, fan):
    method = uuid4()
    subscription = choose(tier, fan, payment_method_id=method)

    assert subscription.status == Subscription.Status.INCOMPLETE
    assert subscription.access_until is None
    assert subscription.payment_due_at == NOW + timedelta(hours=23)
    [event] = published(SubscriptionCreated)
    assert event.sequence == 1
    assert event.requires_payment is True
    assert event.access_until is None
    assert event.payment_due_at == NOW + timedelta(hours=23)
    request = event.billing_request
    assert (request.reason, request.cycle_number) == (BillingReason.INITIAL, 1)
    assert (request.amount, request.currency, request.payment_method_id) == (500, "USD", method)
    assert (request.period_start, request.period_end) == (None, None)
    assert (request.due_at, request.expires_at) == (NOW, NOW + timedelta(hours=23))


def test_a_free_tier_is_active_at_once(clock, creator, fan):
    tier = make_tier(creator, monthly(0))
    forget_events()
    subscription = choose(tier, fan, payment_method_id=None)

    assert subscription.status == Subscription.Status.ACTIVE
    assert subscription.cycle_number == 1
    assert subscription.access_until == subscription.current_period_end
    assert SubscriptionPeriod.objects.get(subscription=subscription).payment is None
    [event] = published(SubscriptionCreated)
    assert event.requires_payment is False
    assert event.billing_request is None
    assert event.access_until == subscription.current_period_end


def test_the_same_choice_while_unpaid_gives_the_same_subscription(incomplete, tier, fan):
    assert choose(tier, fan).pk == incomplete.pk
    assert_nothing_happened(subscriptions=1)


def test_another_choice_while_unpaid_replaces_it(incomplete, creator, fan):
    other = make_tier(creator, monthly(900))
    forget_events()
    subscription = choose(other, fan)

    incomplete.refresh_from_db()
    assert incomplete.status == Subscription.Status.CANCELLED
    assert incomplete.end_reason == Subscription.EndReason.REPLACED
    assert subscription.status == Subscription.Status.INCOMPLETE
    cancelled, created = published()
    assert isinstance(cancelled, SubscriptionCancelled)
    assert (cancelled.subscription_id, cancelled.mode) == (incomplete.id, CancelMode.IMMEDIATE)
    assert cancelled.end_reason is EndReason.REPLACED
    assert isinstance(created, SubscriptionCreated)
    assert created.replaces_subscription_id == incomplete.id


def test_one_live_subscription_to_a_creator(active, creator, fan):
    other = make_tier(creator)
    forget_events()
    with pytest.raises(AlreadySubscribedError):
        choose(other, fan)

    assert Subscription.objects.get().pk == active.pk
    assert published() == []


def test_subscribing_to_two_creators(active, fan):
    assert choose(make_tier(make_creator()), fan).status == Subscription.Status.INCOMPLETE


def test_an_archived_tier_cannot_be_chosen(clock, tier, fan):
    archive_tier(tier_id=tier.id)
    forget_events()
    with pytest.raises(TierNotAvailableError):
        choose(tier, fan)
    assert_nothing_happened()


def test_a_price_of_another_tier_is_refused(clock, creator, tier, fan):
    other = make_tier(creator, monthly(100))
    forget_events()
    with pytest.raises(TierNotAvailableError):
        choose(tier, fan, price_id=price_of(other).id, expected_amount=100)
    assert_nothing_happened()


def test_a_suspended_creators_tier_cannot_be_chosen(clock, creator, tier, fan):
    creator.is_suspended = True
    creator.suspended_at = NOW
    creator.save()
    with pytest.raises(TierNotAvailableError):
        choose(tier, fan)
    assert_nothing_happened()


def test_nobody_subscribes_to_themselves(clock, creator, tier):
    with pytest.raises(OwnTierError):
        choose(tier, creator)
    assert_nothing_happened()


@pytest.mark.parametrize("shown", [{"expected_amount": 499}, {"expected_amount": 501}, {"expected_currency": "EUR"}])
def test_another_price_than_the_one_shown_is_refused(clock, tier, fan, shown):
    with pytest.raises(PriceChangedError):
        choose(tier, fan, **shown)
    assert_nothing_happened()


def test_a_withdrawn_price_is_refused(clock, tier, fan):
    deactivate_price(tier_id=tier.id, price_id=price_of(tier).id)
    forget_events()
    with pytest.raises(PriceChangedError):
        choose(tier, fan)
    assert_nothing_happened()


def test_a_paid_tier_needs_a_payment_method(clock, tier, fan):
    with pytest.raises(PaymentMethodRequiredError):
        choose(tier, fan, payment_method_id=None)
    assert_nothing_happened()


def test_a_full_tier_is_refused_and_an_unpaid_choice_stays(clock, creator, fan):
    full = make_tier(creator, max_subscribers=1)
    make_active(full, make_user(), paid_at=NOW)
    waiting = choose(make_tier(creator), fan)
    forget_events()
    with pytest.raises(TierFullError):
        choose(full, fan)

    waiting.refresh_from_db()
    assert waiting.status == Subscription.Status.INCOMPLETE
    assert Subscription.objects.count() == 2
    assert published() == []


@pytest.mark.parametrize(
    "end", [("expired", EndReason.TERM_ENDED), ("cancelled", EndReason.SUBSCRIBER_REQUEST)], ids=["lapsed", "cancelled"]
)
def test_a_subscription_whose_time_is_over_gives_way_to_a_new_one(active, tier, fan, end, clock):
    if end[0] == "cancelled":
        cancel(subscription_id=active.id, cancelled_by=CancelledBy.SUBSCRIBER, mode=CancelMode.AT_PERIOD_END)
        forget_events()
    clock.move_to(active.current_period_end)

    again = choose(tier, fan)

    active.refresh_from_db()
    assert (active.status, active.end_reason) == end
    assert active.ended_at == active.current_period_end
    assert active.access_until == active.current_period_end
    assert again.pk != active.pk
    assert again.status == Subscription.Status.INCOMPLETE
    assert again.replaces_subscription is None
    [ended, created] = published()
    assert (ended.subscription_id, ended.change, (ended.status, ended.end_reason)) == (active.pk, Change.ENDED, end)
    assert created.subscription_id == again.pk


def test_a_subscription_whose_time_runs_until_its_last_moment_is_in_the_way(clock, active, tier, fan):
    clock.move_to(active.current_period_end - timedelta(microseconds=1))

    with pytest.raises(AlreadySubscribedError):
        choose(tier, fan)

    active.refresh_from_db()
    assert active.status == Subscription.Status.ACTIVE
    assert published() == []
