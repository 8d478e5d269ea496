"""Whatever happens in whatever order, the invariants of a subscription hold after every step."""

from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from random import Random
from uuid import uuid4

import pytest
from django.utils import timezone

from eventbus.exceptions import DomainError
from eventbus.testing import deliver, published
from subscriptions import tasks
from subscriptions.events import CancelledBy, CancelMode
from subscriptions.models.history import ReceivedPayment, SubscriptionPeriod, SubscriptionTransition
from subscriptions.models.subscriptions import Subscription
from subscriptions.services.cancellation import cancel, resume
from tests.subscriptions.factories import choose, completed, failed, refunded


class Story:
    """One subscription to which random things happen."""

    def __init__(self, seed, clock, subscription):
        self.random = Random(seed)
        self.clock = clock
        self.subscription = subscription
        self.payments = [uuid4() for _ in range(4)]
        self.ends = []

    def pay(self):
        cycle = self.random.choice([None, *range(1, self.subscription.cycle_number + 2)])
        amount = self.random.choice([500, 500, 500, 400])
        payment_id = self.random.choice([*self.payments, uuid4()])
        deliver(
            completed(
                self.subscription,
                payment_id=payment_id,
                cycle_number=cycle,
                amount=amount,
                completed_at=timezone.now(),
            )
        )

    def fail(self):
        cycle = self.random.choice([None, *range(1, self.subscription.cycle_number + 2)])
        final = self.random.random() < 0.3
        deliver(failed(self.subscription, cycle_number=cycle, final=final, failed_at=timezone.now()))

    def give_back(self):
        deliver(
            refunded(
                self.subscription,
                payment_id=self.random.choice(self.payments),
                revoke_access=self.random.random() < 0.4,
                refunded_at=timezone.now(),
            )
        )

    def cancel(self):
        by = self.random.choice([CancelledBy.SUBSCRIBER, CancelledBy.CREATOR])
        mode = self.random.choice([CancelMode.AT_PERIOD_END, CancelMode.AT_PERIOD_END, CancelMode.IMMEDIATE])
        with suppress(DomainError):
            cancel(subscription_id=self.subscription.id, cancelled_by=by, mode=mode)

    def resume(self):
        with suppress(DomainError):
            resume(subscription_id=self.subscription.id)

    def wait(self):
        self.clock.shift(timedelta(days=self.random.choice([0, 1, 20]), hours=self.random.randrange(24)))
        tasks.expire_unpaid_subscriptions()
        tasks.end_cancelled_subscriptions()

    def go_on(self):
        step = self.random.choice([self.pay, self.pay, self.fail, self.give_back, self.cancel, self.resume, self.wait])
        step()
        self.subscription.refresh_from_db()
        self.check_status()
        self.check_history()
        self.check_periods()

    def check_status(self):
        found = self.subscription
        if self.ends:
            assert (found.status, found.ended_at, found.access_until) == self.ends[0]
        if found.status == Subscription.Status.INCOMPLETE:
            assert found.access_until is None
        elif found.status == Subscription.Status.ACTIVE:
            assert found.access_until == found.current_period_end
        elif found.status == Subscription.Status.PAST_DUE:
            assert found.access_until == found.grace_until
        else:
            assert found.access_until is None or found.access_until <= found.ended_at
            self.ends.append((found.status, found.ended_at, found.access_until))

    def check_history(self):
        steps = list(SubscriptionTransition.objects.values_list("sequence", "from_status", "to_status"))
        assert [step[0] for step in steps] == list(range(1, self.subscription.sequence + 1))
        assert [event.sequence for event in published()] == [step[0] for step in steps]
        for (_, _, before), (_, start, _) in pairwise(steps):
            assert start == before

    def check_periods(self):
        periods = list(SubscriptionPeriod.objects.all())
        assert [period.cycle_number for period in periods] == list(range(1, self.subscription.cycle_number + 1))
        for earlier, later in pairwise(periods):
            assert earlier.period_end == later.period_start
        granted = ReceivedPayment.objects.filter(outcome=ReceivedPayment.Outcome.GRANTED)
        assert {period.payment_id for period in periods} == set(granted.values_list("pk", flat=True))


@pytest.mark.parametrize("seed", range(10))
def test_any_story_keeps_the_invariants(clock, tier, fan, seed):
    story = Story(seed, clock, choose(tier, fan))
    for _ in range(30):
        story.go_on()
