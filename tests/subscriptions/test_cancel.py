"""Cancelling, and taking it back."""

from datetime import UTC, datetime, timedelta

import pytest

from eventbus.testing import published
from subscriptions.events import (
    CancelledBy,
    CancelMode,
    CancelReason,
    Change,
    RefundPolicy,
    SubscriptionCancelled,
    SubscriptionUpdated,
)
from subscriptions.exceptions import CancelNotAllowedError, InvalidTransitionError, NotCancellingError
from subscriptions.models.subscriptions import Subscription
from subscriptions.services.cancellation import cancel, resume
from tests.subscriptions.conftest import NOW
from tests.subscriptions.factories import forget_events

PERIOD_END = datetime(2031, 2, 28, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=5)


def cancel_it(subscription, *, by=CancelledBy.SUBSCRIBER, mode=CancelMode.AT_PERIOD_END, **more):
    return cancel(subscription_id=subscription.id, cancelled_by=by, mode=mode, **more)


def state_of(subscription):
    return {
        field.name: getattr(subscription, field.attname)
        for field in Subscription._meta.fields
        if field.name not in {"sequence", "version", "updated_at"}
    }


def assert_untouched(subscription):
    before, sequence = state_of(subscription), subscription.sequence
    subscription.refresh_from_db()
    assert (state_of(subscription), subscription.sequence) == (before, sequence)
    assert published() == []


def test_at_the_end_of_the_period_keeps_access_until_then(active):
    cancelled = cancel_it(active, reason=CancelReason.TOO_EXPENSIVE, comment="Rent is due")

    assert cancelled.status == Subscription.Status.ACTIVE
    assert cancelled.cancel_at_period_end is True
    assert cancelled.access_until == PERIOD_END
    assert cancelled.next_action_at == PERIOD_END
    [event] = published(SubscriptionCancelled)
    assert (event.mode, event.effective_at) == (CancelMode.AT_PERIOD_END, PERIOD_END)
    assert (event.cancelled_by, event.reason) == (CancelledBy.SUBSCRIBER, CancelReason.TOO_EXPENSIVE)
    assert event.requested_at == NOW
    assert event.access_until == PERIOD_END
    assert b"Rent" not in event.encode()


def test_twice_is_refused(active):
    active = cancel_it(active)
    forget_events()
    with pytest.raises(InvalidTransitionError):
        cancel_it(active)
    assert_untouched(active)


def test_an_unpaid_one_ends_at_once(incomplete):
    cancelled = cancel_it(incomplete)

    assert cancelled.status == Subscription.Status.CANCELLED
    assert cancelled.end_reason == Subscription.EndReason.SUBSCRIBER_REQUEST
    assert cancelled.access_until is None
    [event] = published(SubscriptionCancelled)
    assert (event.mode, event.refund_policy) == (CancelMode.IMMEDIATE, RefundPolicy.NONE)


@pytest.mark.parametrize(
    ("by", "reason"), [(CancelledBy.CREATOR, "creator_request"), (CancelledBy.STAFF, "staff_request")]
)
def test_creator_and_staff_may_end_it_at_once_and_give_money_back(active, clock, by, reason):
    clock.move_to(LATER)
    cancelled = cancel_it(active, by=by, mode=CancelMode.IMMEDIATE, refund_policy=RefundPolicy.PRORATED)

    assert (cancelled.status, cancelled.end_reason) == (Subscription.Status.CANCELLED, reason)
    assert cancelled.access_until == cancelled.ended_at == LATER
    [event] = published(SubscriptionCancelled)
    assert (event.mode, event.effective_at) == (CancelMode.IMMEDIATE, LATER)
    assert (event.cancelled_by, event.refund_policy) == (by, RefundPolicy.PRORATED)


@pytest.mark.parametrize(
    "wish",
    [
        {"mode": CancelMode.IMMEDIATE},
        {"refund_policy": RefundPolicy.FULL},
        {"by": CancelledBy.CREATOR, "refund_policy": RefundPolicy.FULL},
    ],
)
def test_what_is_not_allowed_changes_nothing(active, wish):
    with pytest.raises(CancelNotAllowedError):
        cancel_it(active, **wish)
    assert_untouched(active)


def test_after_the_period_the_subscribers_cancel_ends_it_at_once(active, clock):
    clock.move_to(PERIOD_END)
    cancelled = cancel_it(active)

    assert cancelled.status == Subscription.Status.CANCELLED
    assert cancelled.access_until == PERIOD_END


def test_an_ended_one_cannot_be_cancelled(incomplete):
    ended = cancel_it(incomplete)
    forget_events()
    with pytest.raises(InvalidTransitionError):
        cancel_it(ended)
    assert_untouched(ended)


def test_resume_takes_the_cancellation_back(active):
    before = state_of(active)
    cancel_it(active, reason=CancelReason.UNUSED, comment="No time")
    forget_events()
    resumed = resume(subscription_id=active.id)

    assert state_of(resumed) == before
    [event] = published(SubscriptionUpdated)
    assert event.change is Change.UNCANCELLED
    assert event.cancel_at_period_end is False
    assert event.sequence == 4


def test_resume_without_a_cancellation_is_refused(active):
    with pytest.raises(NotCancellingError):
        resume(subscription_id=active.id)
    assert_untouched(active)


def test_resume_after_the_period_is_refused(active, clock):
    active = cancel_it(active)
    forget_events()
    clock.move_to(PERIOD_END)
    with pytest.raises(InvalidTransitionError):
        resume(subscription_id=active.id)
    assert_untouched(active)


def test_resume_after_the_end_is_refused(incomplete):
    ended = cancel_it(incomplete)
    forget_events()
    with pytest.raises(InvalidTransitionError):
        resume(subscription_id=ended.id)
    assert_untouched(ended)
