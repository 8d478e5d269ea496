"""What the clock ends: unpaid subscriptions, and cancelled ones whose last period is over."""

from datetime import UTC, datetime, timedelta

import pytest

from eventbus.testing import published
from subscriptions import tasks
from subscriptions.events import CancelledBy, CancelMode, Change, SubscriptionUpdated
from subscriptions.models.subscriptions import Subscription
from subscriptions.services.cancellation import cancel
from subscriptions.services.expiry import end_due, expire_unpaid
from tests.subscriptions.conftest import NOW
from tests.subscriptions.factories import choose, forget_events, make_user

PERIOD_END = datetime(2031, 2, 28, 12, 0, tzinfo=UTC)
DUE = NOW + timedelta(hours=23)
INSTANT = timedelta(microseconds=1)


@pytest.fixture
def ending(active):
    subscription = cancel(subscription_id=active.id, cancelled_by=CancelledBy.SUBSCRIBER, mode=CancelMode.AT_PERIOD_END)
    forget_events()
    return subscription


def test_unpaid_in_time_is_the_end(incomplete, clock):
    clock.move_to(DUE)
    tasks.expire_unpaid_subscriptions()

    incomplete.refresh_from_db()
    assert incomplete.status == Subscription.Status.EXPIRED
    assert incomplete.end_reason == Subscription.EndReason.INITIAL_PAYMENT_FAILED
    [event] = published(SubscriptionUpdated)
    assert (event.change, event.access_until) == (Change.ENDED, None)


def test_a_moment_before_it_still_waits(incomplete, clock):
    clock.move_to(DUE - INSTANT)
    tasks.expire_unpaid_subscriptions()
    expire_unpaid(subscription_id=incomplete.id)

    incomplete.refresh_from_db()
    assert incomplete.status == Subscription.Status.INCOMPLETE
    assert published() == []


def test_a_sweep_that_comes_twice_or_late_changes_nothing_more(incomplete, clock):
    clock.move_to(DUE)
    expire_unpaid(subscription_id=incomplete.id)
    expire_unpaid(subscription_id=incomplete.id)

    assert len(published()) == 1


def test_a_paid_one_is_not_swept(active, clock):
    clock.move_to(PERIOD_END + timedelta(days=90))
    tasks.expire_unpaid_subscriptions()
    tasks.end_cancelled_subscriptions()
    expire_unpaid(subscription_id=active.id)
    end_due(subscription_id=active.id)

    active.refresh_from_db()
    assert active.status == Subscription.Status.ACTIVE
    assert active.access_until == PERIOD_END
    assert published() == []


def test_a_cancelled_one_ends_with_its_period(ending, clock):
    clock.move_to(PERIOD_END + timedelta(minutes=3))
    tasks.end_cancelled_subscriptions()

    ending.refresh_from_db()
    assert ending.status == Subscription.Status.CANCELLED
    assert ending.end_reason == Subscription.EndReason.SUBSCRIBER_REQUEST
    assert ending.ended_at == ending.access_until == PERIOD_END
    assert [event.change for event in published(SubscriptionUpdated)] == [Change.ENDED]


def test_a_cancelled_one_runs_to_the_last_moment(ending, clock):
    clock.move_to(PERIOD_END - INSTANT)
    tasks.end_cancelled_subscriptions()
    end_due(subscription_id=ending.id)

    ending.refresh_from_db()
    assert ending.status == Subscription.Status.ACTIVE
    assert published() == []


def test_one_that_fails_holds_up_no_other(incomplete, tier, clock, monkeypatch, caplog):
    other = choose(tier, make_user())
    clock.move_to(DUE)

    def fail_for_one(*, subscription_id):
        if subscription_id == incomplete.id:
            raise RuntimeError("disk full")
        return expire_unpaid(subscription_id=subscription_id)

    monkeypatch.setattr(tasks, "expire_unpaid", fail_for_one)
    tasks.expire_unpaid_subscriptions()

    other.refresh_from_db()
    incomplete.refresh_from_db()
    assert other.status == Subscription.Status.EXPIRED
    assert incomplete.status == Subscription.Status.INCOMPLETE
    assert str(incomplete.id) in caplog.text
