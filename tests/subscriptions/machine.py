"""Fans who subscribe, change and leave, money that comes or not, news that is late or twice, a clock that jumps."""

from calendar import monthrange
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from typing import Any, ClassVar
from uuid import UUID, uuid4

import time_machine
from django.db import transaction
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace
from uuid_utils.compat import uuid7

from eventbus.exceptions import DomainError, NotYetError
from eventbus.models import OutboxEvent
from eventbus.testing import deliver, published
from subscriptions import tasks
from subscriptions.events import CancelledBy, CancelMode
from subscriptions.models.history import ReceivedPayment, RequestedPayment, TrialUse
from subscriptions.models.subscriptions import Subscription
from subscriptions.services.cancellation import cancel, resume
from subscriptions.services.checkout import subscribe
from subscriptions.services.payment_method import change_payment_method, retry_payment
from subscriptions.services.tier_change import change_price
from subscriptions.services.tiers import PriceTerms
from tests.subscriptions.conftest import NOW
from tests.subscriptions.factories import forget_events, make_creator, make_tier, make_user, monthly
from tests.subscriptions.till import Till

CLOCK_WORK = (
    tasks.expire_unpaid_subscriptions,
    tasks.end_cancelled_subscriptions,
    tasks.renew_subscriptions,
    tasks.give_up_unpaid_renewals,
)
NUMBERS = st.integers(0, 11)
FANS = st.integers(0, 1)
WAYS = [
    (CancelledBy.SUBSCRIBER, CancelMode.AT_PERIOD_END),
    (CancelledBy.SUBSCRIBER, CancelMode.AT_PERIOD_END),
    (CancelledBy.CREATOR, CancelMode.AT_PERIOD_END),
    (CancelledBy.STAFF, CancelMode.IMMEDIATE),
]
LATER = [timedelta(minutes=1), timedelta(hours=2), timedelta(hours=23), timedelta(days=6), timedelta(days=13)]


class SubscriptionMachine(RuleBasedStateMachine):
    """One creator, two fans, a till; each history on an empty database, rolled back at its end."""

    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.travel = time_machine.travel(NOW, tick=False)
        self.clock = self.travel.start()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.creator, self.fans = make_creator(), [make_user(), make_user()]
        tiers = [
            make_tier(self.creator, monthly(500), name="Cheap", trial_days=14),
            make_tier(self.creator, monthly(1500), name="Dear", max_subscribers=1),
            make_tier(self.creator, PriceTerms(interval="year", amount=9000, currency="USD"), name="Yearly"),
            make_tier(self.creator, monthly(0), name="Free"),
        ]
        self.prices = [tier.prices.get() for tier in tiers]
        forget_events()
        self.till = Till()
        self.told: list[Any] = []
        self.unheard: list[Any] = []
        self.ends: dict[UUID, Any] = {}

    def teardown(self) -> None:
        try:
            self.everything_comes_to_rest()
        finally:
            transaction.set_rollback(True)
            self.atomic.__exit__(None, None, None)
            self.travel.stop()

    # --- what people do -----------------------------------------------------------------------------------------------

    def wish(self, work):
        """What the rules refuse changes nothing."""
        with suppress(DomainError, NotYetError, Subscription.DoesNotExist):
            work()
        self.collect()

    def collect(self):
        """What was told lies with the broker."""
        events = published()
        OutboxEvent.objects.all().delete()
        self.told += events
        self.unheard += events

    @rule(fan=FANS, which=NUMBERS, trial=st.sampled_from([None, False]))
    def somebody_subscribes(self, fan, which, trial):
        price = self.prices[which % 4]
        self.wish(
            lambda: subscribe(
                subscriber_id=self.fans[fan].pk,
                tier_id=price.tier_id,
                price_id=price.pk,
                expected_amount=price.amount,
                expected_currency="USD",
                payment_method_id=uuid4(),
                trial=trial,
            )
        )

    def of_fan(self, fan):
        """The fan's newest subscription."""
        found = Subscription.objects.filter(subscriber_id=self.fans[fan].pk).order_by("-id").first()
        return found.pk if found else uuid4()

    @rule(fan=FANS, way=st.sampled_from(WAYS))
    def somebody_cancels(self, fan, way):
        cancelled_by, mode = way
        self.wish(lambda: cancel(subscription_id=self.of_fan(fan), cancelled_by=cancelled_by, mode=mode))

    @rule(fan=FANS)
    def a_fan_stays_after_all(self, fan):
        self.wish(lambda: resume(subscription_id=self.of_fan(fan)))

    @rule(fan=FANS, which=NUMBERS)
    def a_fan_changes(self, fan, which):
        price = self.prices[which % 4]
        self.wish(
            lambda: change_price(subscription_id=self.of_fan(fan), price_id=price.pk, expected_amount=price.amount)
        )

    @rule(fan=FANS, same=st.booleans())
    def a_fan_mends_the_payment(self, fan, same):
        if same:
            self.wish(lambda: retry_payment(subscription_id=self.of_fan(fan)))
        else:
            self.wish(lambda: change_payment_method(subscription_id=self.of_fan(fan), payment_method_id=uuid4()))

    @rule(fan=FANS)
    def cancelling_and_staying_is_nothing(self, fan):
        found = Subscription.objects.filter(pk=self.of_fan(fan), status__in=("trialing", "active")).first()
        if found is None or found.cancel_at_period_end or found.current_period_end <= timezone.now():
            return
        if found.requested_payments.filter(state="open").exists():
            return  # then what is asked for is withdrawn, and asked for again
        before = lasting(found)
        cancel(subscription_id=found.pk, cancelled_by=CancelledBy.SUBSCRIBER, mode=CancelMode.AT_PERIOD_END)
        resume(subscription_id=found.pk)
        self.collect()
        assert lasting(Subscription.objects.get(pk=found.pk)) == before

    # --- time, money and news -----------------------------------------------------------------------------------------

    @rule(time=st.sampled_from(LATER), works=st.sets(st.sampled_from(CLOCK_WORK)))
    def time_passes(self, time, works):
        self.clock.shift(time)
        self.till.pass_time()
        self.work([work for work in CLOCK_WORK if work in works])

    @rule(fan=FANS, is_late=st.booleans())
    def the_clock_is_on_time(self, fan, is_late):
        """The moment that the fan's subscription waits for."""
        found = Subscription.objects.filter(pk=self.of_fan(fan), next_action_at__gt=timezone.now()).first()
        if found is not None:
            self.clock.move_to(found.next_action_at + timedelta(minutes=70 * is_late))
            self.till.pass_time()
            self.work(CLOCK_WORK)

    @rule(works=st.permutations(CLOCK_WORK))
    def the_clock_comes_round(self, works):
        self.work(works)

    def work(self, works):
        """These of the clock's tasks, in this order."""
        for work in works:
            work()
        self.collect()

    @precondition(lambda self: self.unheard)
    @rule(which=NUMBERS, again=st.booleans())
    def payments_hears(self, which, again):
        event = pick(self.unheard, which)
        self.till.hear(event)
        if again:
            self.unheard.append(retold(event))

    @precondition(lambda self: self.till.chargeable())
    @rule(which=NUMBERS, fate=st.sampled_from(["paid", "paid", "paid", "declined", "refused"]))
    def the_gateway_answers(self, which, fate):
        orders = self.till.chargeable()
        order = orders[which % len(orders)]
        if fate == "paid":
            self.till.capture(order)
        else:
            self.till.fail(order, final=fate == "refused")

    @precondition(lambda self: any(order.status == "paid" for order in self.till.orders))
    @rule(which=NUMBERS, revoke_access=st.booleans())
    def money_goes_back(self, which, revoke_access):
        paid = [order for order in self.till.orders if order.status == "paid"]
        self.till.refund(paid[which % len(paid)], revoke_access=revoke_access)

    @precondition(lambda self: self.till.said)
    @rule(which=NUMBERS, again=st.booleans())
    def subscriptions_hears(self, which, again):
        event = pick(self.till.said, which)
        deliver(event, to="subscriptions")
        self.collect()
        if again:
            self.till.said.append(retold(event))

    # --- what holds after every step ----------------------------------------------------------------------------------

    @invariant()
    def each_subscription_keeps_its_rules(self):
        type(self).steps += 1
        found = list(Subscription.objects.prefetch_related("transitions", "periods", "requested_payments"))
        live = [(each.subscriber_id, each.creator_id) for each in found if each.status in Subscription.LIVE]
        assert len(live) == len(set(live))
        for each in found:
            self.check_status(each)
            self.check_history(each)
            check_periods(each)
        trials = list(TrialUse.objects.values_list("subscriber_id", flat=True))
        assert len(trials) == len(set(trials))
        assert len(trials) == sum(each.trial_end_at is not None for each in found)

    def check_status(self, found):
        until = found.access_until
        if found.status == "incomplete":
            assert until is None
        elif found.status in {"active", "trialing"}:
            assert until >= found.current_period_end
            assert until <= found.current_period_end + timedelta(days=1)
        elif found.status == "past_due":
            assert until == found.grace_until <= found.current_period_end + timedelta(days=21)
        else:
            assert until is None or until <= found.ended_at
            assert self.ends.setdefault(found.pk, (found.status, found.ended_at, until, found.sequence))[:3] == (
                found.status,
                found.ended_at,
                until,
            )
        assert (found.status in Subscription.TERMINAL) == (found.next_action_at is None)
        awaited = [request.reason for request in found.requested_payments.all() if request.is_open]
        if found.status in Subscription.TERMINAL:
            assert awaited == []
        elif found.cancel_at_period_end:
            assert awaited in ([], ["proration"])
        elif found.status == "incomplete":
            assert awaited == ["initial"]

    def check_history(self, found):
        steps = sorted((step.sequence, step.from_status, step.to_status) for step in found.transitions.all())
        events = sorted(event.sequence for event in self.told if event.subscription_id == found.pk)
        assert [step[0] for step in steps] == events == list(range(1, found.sequence + 1))
        for (_, _, before), (_, start, end) in pairwise(steps):
            assert start == before
            assert end == start or end in Subscription.TRANSITIONS[start]

    # --- and when all news has been heard -----------------------------------------------------------------------------

    def settle(self):
        """Everything that lies with the broker is heard, and what that causes."""
        while self.unheard or self.till.said:
            while self.unheard:
                self.till.hear(self.unheard.pop(0))
            while self.till.said:
                deliver(self.till.said.pop(0), to="subscriptions")
                self.collect()

    def everything_comes_to_rest(self):
        """Nothing waits for ever, and all money either bought a period or went back."""
        for time in (timedelta(hours=2), timedelta(days=2), timedelta(days=23)):
            self.clock.shift(time)
            self.till.pass_time()
            self.settle()
            self.work(CLOCK_WORK)
            self.settle()
            asked = {order.request.billing_request_id for order in self.till.orders}
            assert set(RequestedPayment.objects.filter(state="open").values_list("pk", flat=True)) <= asked
            for order in self.till.chargeable():
                if order.status == "open":
                    self.till.capture(order)
            self.settle()
        self.each_subscription_keeps_its_rules()
        for found in Subscription.objects.all():
            assert found.status != "incomplete"
        for order in self.till.orders:
            if order.status == "paid" and not order.is_refunded:
                payment = ReceivedPayment.objects.get(pk=order.id)
                assert payment.outcome == ReceivedPayment.Outcome.GRANTED
        granted = RequestedPayment.objects.filter(state="paid").count()
        assert granted == ReceivedPayment.objects.filter(outcome="granted").count()


def lasting(found):
    """All of a subscription but its counters and times."""
    passing = {"sequence", "version", "updated_at"}
    return {field.attname: getattr(found, field.attname) for field in found._meta.fields if field.name not in passing}


def check_periods(found):
    periods = sorted(found.periods.all(), key=lambda period: period.cycle_number)
    assert [period.cycle_number for period in periods] == list(range(1, found.cycle_number + 1))
    for earlier, later in pairwise(periods):
        assert earlier.period_end == later.period_start
    if periods:
        end = periods[-1].period_end
        assert (periods[-1].period_start, end) == (found.current_period_start, found.current_period_end)
        assert end.day == min(found.anchor_day, monthrange(end.year, end.month)[1])
    if found.status in {"active", "past_due"} and found.trial_end_at is None:
        assert periods


def pick(waiting, which):
    """One of what waits, whichever: topics and keys overtake one another."""
    return waiting.pop(which % len(waiting))


def retold(event):
    """The same fact as another event."""
    return replace(event, id=str(uuid7()))
