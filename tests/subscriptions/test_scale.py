"""A renewal run at size: it reads by its index, holds one batch at a time, and leaves nothing behind."""

import tracemalloc
from datetime import timedelta

import pytest
from django.utils import timezone

from eventbus.models import OutboxEvent
from subscriptions import tasks
from subscriptions.models.history import RequestedPayment, SubscriptionTransition
from subscriptions.models.subscriptions import Subscription
from subscriptions.services import renewal
from tests.subscriptions.factories import forget_events
from tests.subscriptions.many import copy_of
from tests.subscriptions.test_renewal import ASKED_AT

MANY = 1000
ENOUGH = 20_000  # for PostgreSQL to prefer the index by itself


@pytest.fixture
def many(active, clock):
    """A thousand subscriptions due by now, and as many that are not."""
    copy_of(active, count=MANY, due=ASKED_AT - timedelta(hours=1))
    Subscription.objects.filter(pk=active.pk).update(next_action_at=ASKED_AT + timedelta(days=1))
    forget_events()
    clock.move_to(ASKED_AT)


def test_the_run_reads_what_is_longest_due_by_its_index(many, active):
    for moment in (ASKED_AT - timedelta(days=1), ASKED_AT + timedelta(days=1)):
        copy_of(active, count=ENOUGH, due=moment)
    due = Subscription.objects.renewable_by(timezone.now()).select_related("price", "pending_price")
    plan = due.select_for_update(of=("self",), skip_locked=True)[: renewal.BATCH].explain()

    assert "Index Scan using subscriptions_due" in plan
    assert "Seq Scan on subscriptions_subscription" not in plan
    assert "Sort" not in plan


def test_a_run_takes_all_that_is_due_and_nothing_else(many):
    tasks.renew_subscriptions()

    assert RequestedPayment.objects.filter(reason="renewal").count() == MANY
    assert SubscriptionTransition.objects.filter(change="renewal_due").count() == OutboxEvent.objects.count() == MANY
    assert Subscription.objects.filter(next_action_at__lte=timezone.now()).count() == 0
    assert OutboxEvent.objects.values("key").distinct().count() == MANY


def test_a_run_holds_one_batch_in_memory_however_many_are_due(many, monkeypatch):
    monkeypatch.setattr(renewal, "BATCH", 100)
    renewal.renew_batch()
    tracemalloc.start()
    try:
        renewal.renew_batch()
        _, of_one = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        tasks.renew_subscriptions()
        _, of_all = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert RequestedPayment.objects.filter(reason="renewal").count() == MANY
    assert of_all < 2 * of_one
