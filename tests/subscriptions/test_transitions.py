"""The table of transitions, walked pair by pair, and the constraints that hold without it."""

from itertools import permutations, product

import pytest
from django.db import IntegrityError, connection, transaction

from subscriptions.events import CancelledBy, CancelMode
from subscriptions.exceptions import InvalidTransitionError
from subscriptions.models.history import SubscriptionTransition
from subscriptions.models.subscriptions import Subscription
from subscriptions.services.cancellation import cancel, resume
from subscriptions.states import BEGINNINGS
from tests.subscriptions.conftest import NOW
from tests.subscriptions.factories import make_user

LEGAL = {
    ("incomplete", "active"),
    ("incomplete", "expired"),
    ("incomplete", "cancelled"),
    ("trialing", "active"),
    ("trialing", "past_due"),
    ("trialing", "expired"),
    ("trialing", "cancelled"),
    ("active", "active"),
    ("active", "past_due"),
    ("active", "expired"),
    ("active", "cancelled"),
    ("past_due", "active"),
    ("past_due", "expired"),
    ("past_due", "cancelled"),
}
STATUSES = Subscription.Status.values


@pytest.mark.parametrize(("before", "after"), list(product(STATUSES, STATUSES)))
def test_every_pair_of_statuses(before, after):
    subscription = Subscription(status=before)
    if (before, after) in LEGAL:
        subscription.move_to(after)
        assert subscription.status == after
    else:
        with pytest.raises(InvalidTransitionError):
            subscription.move_to(after)
        assert subscription.status == before


@pytest.mark.parametrize(("before", "after"), list(permutations(STATUSES, 2)))
def test_the_database_knows_the_same_table(incomplete, before, after):
    bring_to(incomplete, before)
    if (before, after) in LEGAL:
        set_status(incomplete, after)
        assert Subscription.objects.get().status == after
    else:
        with pytest.raises(IntegrityError, match="subscriptions_move_as_the_table_says"), transaction.atomic():
            set_status(incomplete, after)
        assert Subscription.objects.get().status == before


@pytest.mark.parametrize("status", STATUSES)
def test_the_database_knows_how_a_subscription_may_begin(incomplete, status):
    Subscription.objects.filter(pk=incomplete.pk).update(**columns_of("expired"))
    second = Subscription.objects.get(pk=incomplete.pk)
    second.pk = make_user().pk
    for name, value in columns_of(status).items():
        setattr(second, name, value)
    if status in BEGINNINGS:
        second.save(force_insert=True)
        assert Subscription.objects.get(pk=second.pk).status == status
    else:
        with pytest.raises(IntegrityError, match="subscriptions_move_as_the_table_says"), transaction.atomic():
            second.save(force_insert=True)
        assert Subscription.objects.count() == 1


def bring_to(subscription, status):
    """Past the table: by which way it came does not matter here."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        set_status(subscription, status)
        cursor.execute("SET LOCAL session_replication_role = origin")


def set_status(subscription, status):
    Subscription.objects.filter(pk=subscription.pk).update(**columns_of(status))


def columns_of(status):
    is_over = status in Subscription.TERMINAL
    return {
        "status": status,
        "ended_at": NOW if is_over else None,
        "end_reason": Subscription.EndReason.REFUNDED if is_over else None,
    }


def test_the_sequence_has_no_gaps_and_each_step_is_remembered(active):
    cancel(subscription_id=active.id, cancelled_by=CancelledBy.SUBSCRIBER, mode=CancelMode.AT_PERIOD_END)
    resume(subscription_id=active.id)

    steps = SubscriptionTransition.objects.filter(subscription=active).values_list("sequence", "change")
    assert list(steps) == [(1, "created"), (2, "activated"), (3, "cancel_scheduled"), (4, "uncancelled")]


@pytest.mark.parametrize(
    ("constraint", "columns"),
    [
        ("subscription_status_is_known", {"status": "paused"}),
        ("only_ended_subscriptions_have_an_end", {"status": "cancelled"}),
        ("only_ended_subscriptions_have_an_end", {"ended_at": NOW, "end_reason": "refunded"}),
        ("unpaid_means_no_access", {"access_until": NOW}),
        ("a_period_ends_after_it_starts", {"current_period_start": NOW, "current_period_end": NOW}),
        ("anchor_day_is_a_day_of_a_month", {"anchor_day": 32}),
    ],
)
def test_the_database_refuses_what_the_rules_exclude(incomplete, constraint, columns):
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Subscription.objects.filter(pk=incomplete.pk).update(**columns)


def test_the_database_refuses_a_second_live_subscription(incomplete):
    second = Subscription.objects.get(pk=incomplete.pk)
    second.pk = make_user().pk
    with pytest.raises(IntegrityError, match="one_live_subscription_per_creator"), transaction.atomic():
        second.save(force_insert=True)
    assert Subscription.objects.count() == 1


def test_the_database_refuses_a_subscription_to_oneself(incomplete):
    with pytest.raises(IntegrityError, match="nobody_subscribes_to_their_own_tiers"), transaction.atomic():
        Subscription.objects.filter(pk=incomplete.pk).update(subscriber_id=incomplete.creator_id)
