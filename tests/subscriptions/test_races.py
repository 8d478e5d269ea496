"""Two requests at the same moment, made to meet by a barrier."""

from threading import Barrier, get_ident

import pytest
from django.db import transaction
from django.utils import timezone

from eventbus.testing import published
from subscriptions.events import CancelledBy, CancelMode, SubscriptionCancelled, SubscriptionUpdated
from subscriptions.exceptions import AlreadySubscribedError, TierFullError, TooManyTiersError
from subscriptions.models.history import RequestedPayment, SubscriptionPeriod
from subscriptions.models.subscriptions import Subscription
from subscriptions.models.tiers import Tier
from subscriptions.services import checkout, renewal
from subscriptions.services import tiers as tier_services
from subscriptions.services.cancellation import cancel
from tests.races import at_once
from tests.subscriptions.factories import (
    choose,
    forget_events,
    make_active,
    make_creator,
    make_tier,
    make_user,
    monthly,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def meet(monkeypatch):
    """Let the first call of `name` in `module` in each of two threads wait for the other's."""

    def patch(module, name):
        barrier, original, seen = Barrier(2), getattr(module, name), set()

        def waiting(*args, **kwargs):
            if get_ident() not in seen:
                seen.add(get_ident())
                barrier.wait(timeout=10)
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, waiting)

    return patch


def test_two_equal_choices_give_one_subscription_to_both(meet):
    tier, fan = make_tier(make_creator()), make_user()
    meet(checkout, "insert")
    first, second = at_once(lambda: choose(tier, fan), lambda: choose(tier, fan))

    assert first == second
    assert Subscription.objects.get() == first


def test_two_free_choices_give_one_live_subscription(meet):
    tier, fan = make_tier(make_creator(), monthly(0)), make_user()
    meet(checkout, "insert")
    outcomes = at_once(lambda: choose(tier, fan), lambda: choose(tier, fan))

    assert sorted(type(outcome).__name__ for outcome in outcomes) == [AlreadySubscribedError.__name__, "Subscription"]
    assert Subscription.objects.live().count() == 1
    assert SubscriptionPeriod.objects.count() == 1


def test_two_different_choices_leave_one_live_subscription(meet):
    creator, fan = make_creator(), make_user()
    one, other = make_tier(creator), make_tier(creator)
    meet(checkout, "insert")
    outcomes = at_once(lambda: choose(one, fan), lambda: choose(other, fan))

    assert all(isinstance(outcome, Subscription) for outcome in outcomes)
    live = Subscription.objects.live().get()
    replaced = Subscription.objects.get(status="cancelled")
    assert live.replaces_subscription_id == replaced.id


def test_two_fans_cannot_take_the_last_place(meet):
    tier = make_tier(make_creator(), max_subscribers=1)
    fans = make_user(), make_user()
    meet(checkout, "require_place")
    outcomes = at_once(lambda: choose(tier, fans[0]), lambda: choose(tier, fans[1]))

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Subscription", TierFullError.__name__]
    assert Subscription.objects.count() == 1


@pytest.fixture
def due():
    """Six subscriptions whose renewal is due."""
    tier = make_tier(make_creator())
    now = timezone.now()
    made = [make_active(tier, make_user(), paid_at=now) for _ in range(6)]
    Subscription.objects.update(next_action_at=now)
    forget_events()
    return made


def test_two_schedulers_ask_once_for_each_renewal(due, meet, monkeypatch):
    monkeypatch.setattr(renewal, "BATCH", 3)
    meet(renewal, "renew")  # both hold a batch before either writes
    counts = at_once(renewal.renew_batch, renewal.renew_batch)

    assert counts == [3, 3]
    asked = [event.subscription_id for event in published(SubscriptionUpdated)]
    assert sorted(asked) == sorted(each.pk for each in due)
    assert RequestedPayment.objects.filter(state="open").count() == 6


def test_a_scheduler_passes_over_what_another_holds(due):
    barrier = Barrier(2)

    def hold_all_while_the_other_looks():
        with transaction.atomic():
            assert renewal.renew_batch() == 6
            barrier.wait(timeout=10)
            barrier.wait(timeout=10)

    def look():
        barrier.wait(timeout=10)
        found = renewal.renew_batch()
        barrier.wait(timeout=10)
        return found

    assert at_once(hold_all_while_the_other_looks, look) == [None, 0]
    assert len(published(SubscriptionUpdated)) == 6


def test_h18_of_a_cancellation_and_a_renewal_at_once_the_cancellation_holds(due):
    [subscription, *_] = due
    barrier = Barrier(2)

    def renew():
        barrier.wait(timeout=10)
        return renewal.renew_batch()

    def leave():
        barrier.wait(timeout=10)
        return cancel(
            subscription_id=subscription.pk, cancelled_by=CancelledBy.SUBSCRIBER, mode=CancelMode.AT_PERIOD_END
        )

    _, cancelled = at_once(renew, leave)

    assert isinstance(cancelled, Subscription)
    assert (cancelled.status, cancelled.cancel_at_period_end) == (Subscription.Status.ACTIVE, True)
    assert not subscription.requested_payments.filter(state="open").exists()
    assert RequestedPayment.objects.filter(state="open").count() == 5
    told = [event for event in published() if event.subscription_id == subscription.pk]
    assert [event.sequence for event in told] == list(range(3, 3 + len(told)))
    assert isinstance(told[-1], SubscriptionCancelled)


def test_two_tiers_cannot_both_be_the_tenth(meet):
    creator = make_creator()
    for _ in range(9):
        make_tier(creator)
    meet(tier_services, "require_room_for_a_tier")
    outcomes = at_once(lambda: make_tier(creator), lambda: make_tier(creator))

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Tier", TooManyTiersError.__name__]
    assert Tier.objects.active().count() == 10
