"""What a failed payment does: nothing, grace, or the end."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts.models import CreatorProfile
from eventbus.testing import deliver, published
from subscriptions.events import CancelledBy, CancelMode, Change, EndReason, SubscriptionUpdated
from subscriptions.models.subscriptions import Subscription
from subscriptions.services.cancellation import cancel, resume
from tests.subscriptions.conftest import NOW
from tests.subscriptions.factories import completed, failed

PERIOD_END = datetime(2031, 2, 28, 12, 0, tzinfo=UTC)


def assert_untouched(subscription):
    before = (subscription.status, subscription.access_until, subscription.sequence)
    subscription.refresh_from_db()
    assert (subscription.status, subscription.access_until, subscription.sequence) == before
    assert published() == []


def test_a_failure_that_may_be_mended_leaves_an_unpaid_subscription_waiting(incomplete):
    deliver(failed(incomplete, final=False))
    assert_untouched(incomplete)


@pytest.mark.parametrize("cycle", [1, None])
def test_a_final_failure_ends_an_unpaid_subscription(incomplete, cycle):
    deliver(failed(incomplete, cycle_number=cycle))

    incomplete.refresh_from_db()
    assert incomplete.status == Subscription.Status.EXPIRED
    assert incomplete.end_reason == Subscription.EndReason.INITIAL_PAYMENT_FAILED
    assert incomplete.access_until is None
    [event] = published(SubscriptionUpdated)
    assert (event.change, event.end_reason) == (Change.ENDED, EndReason.INITIAL_PAYMENT_FAILED)


@pytest.mark.parametrize("days", [0, 7, 21])
def test_a_failed_renewal_gives_the_creators_grace(active, creator, days):
    CreatorProfile.objects.filter(pk=creator.pk).update(grace_days=days)
    deliver(failed(active, final=False, failed_at=PERIOD_END))

    active.refresh_from_db()
    assert active.status == Subscription.Status.PAST_DUE
    assert active.past_due_at == PERIOD_END
    assert active.grace_until == active.access_until == PERIOD_END + timedelta(days=days)
    [event] = published(SubscriptionUpdated)
    assert (event.change, event.access_until) == (Change.PAST_DUE, PERIOD_END + timedelta(days=days))


def test_more_failures_do_not_lengthen_the_grace(active):
    deliver(failed(active, final=False, failed_at=PERIOD_END))
    deliver(failed(active, final=False, failed_at=PERIOD_END + timedelta(days=2)))

    active.refresh_from_db()
    assert active.grace_until == PERIOD_END + timedelta(days=7)
    assert len(published()) == 1


def test_the_last_failure_ends_it_and_its_access(active, clock):
    deliver(failed(active, final=False, failed_at=PERIOD_END))
    clock.move_to(PERIOD_END + timedelta(days=3))
    deliver(failed(active, final=True, failed_at=PERIOD_END + timedelta(days=3)))

    active.refresh_from_db()
    assert active.status == Subscription.Status.EXPIRED
    assert active.end_reason == Subscription.EndReason.PAYMENT_FAILED
    assert active.access_until == active.ended_at == PERIOD_END + timedelta(days=3)
    assert [event.change for event in published(SubscriptionUpdated)] == [Change.PAST_DUE, Change.ENDED]


@pytest.mark.parametrize("final", [True, False])
def test_a_failure_of_a_cycle_that_was_paid_since_is_ignored(active, final):
    deliver(failed(active, cycle_number=1, final=final))
    assert_untouched(active)


@pytest.mark.parametrize("final", [True, False])
def test_a_failure_without_a_cycle_is_ignored_while_a_paid_period_runs(active, final):
    deliver(failed(active, cycle_number=None, final=final, failed_at=NOW + timedelta(days=1)))
    assert_untouched(active)


def test_a_failure_without_a_cycle_counts_when_the_period_is_over(active):
    deliver(failed(active, cycle_number=None, final=False, failed_at=PERIOD_END))

    active.refresh_from_db()
    assert active.status == Subscription.Status.PAST_DUE


def test_failure_and_payment_of_a_cycle_end_alike_in_either_order(active):
    failure = failed(active, final=False, failed_at=PERIOD_END)
    payment = completed(active, completed_at=PERIOD_END)
    deliver(payment, failure)

    active.refresh_from_db()
    assert (active.status, active.cycle_number) == (Subscription.Status.ACTIVE, 2)


def test_payment_after_failure_recovers(active):
    failure = failed(active, final=False, failed_at=PERIOD_END)
    payment = completed(active, completed_at=PERIOD_END)
    deliver(failure, payment)

    active.refresh_from_db()
    assert (active.status, active.cycle_number) == (Subscription.Status.ACTIVE, 2)


def test_a_failure_after_the_end_is_ignored(incomplete):
    deliver(failed(incomplete))
    incomplete.refresh_from_db()
    deliver(failed(incomplete))

    assert len(published()) == 1


def test_who_cancels_past_due_and_stays_after_all_has_the_same_grace(active):
    """A renewal may be declined shortly before its period ends, so there is a period to cancel at the end of."""
    deliver(failed(active, final=False, failed_at=NOW))
    cancelled = cancel(subscription_id=active.pk, cancelled_by=CancelledBy.SUBSCRIBER, mode=CancelMode.AT_PERIOD_END)
    assert (cancelled.status, cancelled.access_until) == (Subscription.Status.PAST_DUE, PERIOD_END)

    resumed = resume(subscription_id=active.pk)

    assert resumed.access_until == resumed.grace_until == PERIOD_END + timedelta(days=7)
    assert published(SubscriptionUpdated)[-1].access_until == resumed.access_until
