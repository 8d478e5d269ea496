"""Fans, a creator, a bank, a broker, workers, a gateway and a clock, each of which does as it likes."""

from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import ClassVar
from uuid import uuid4

from django.db import transaction
from django.test import TestCase
from django.utils import timezone
from hypothesis import currently_in_test_context, note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from content.events import PostStatus
from eventbus.exceptions import DomainError, NotYetError
from eventbus.models import InboxEvent
from eventbus.processing import Processor
from eventbus.testing import message_of
from payments.models.disputes import Dispute
from payments.models.ledger import LedgerEntry
from payments.models.orders import PaymentAttempt, PaymentOrder
from payments.models.projections import PostOffer, SubscriptionRef
from payments.models.refunds import Refund
from payments.models.sales import PostPurchase, Tip
from payments.models.sandbox import SandboxCharge, SandboxDispute, SandboxRefund
from payments.services.charging import confirm_payment
from payments.services.orders import cancel_payment
from payments.services.purchases import buy_post
from payments.services.refunds import refund_payment
from payments.services.tips import send_tip
from subscriptions.events import CancelledBy, CancelMode, RefundPolicy
from subscriptions.models.history import ReceivedPayment, RequestedPayment, SubscriptionPeriod
from subscriptions.models.subscriptions import Subscription
from subscriptions.services.cancellation import cancel, resume
from subscriptions.services.checkout import subscribe
from subscriptions.services.payment_method import change_payment_method, retry_payment
from subscriptions.services.tier_change import change_price
from tests.flows.billing_invariants import AT_ALL_TIMES, AT_REST, IN_THE_END
from tests.flows.billing_platform import CLOCK, ROOMS, SUBSCRIPTION_CLOCK, Billing, MoodyGateway
from tests.flows.test_permutations import heard_by, known_to, relearned
from tests.subscriptions.machine import lasting

FANS = st.integers(0, 1)
NUMBERS = st.integers(0, 11)
TOKENS = st.sampled_from(
    [
        *["tok_ok"] * 4,
        "tok_decline_soft",
        "tok_decline_hard",
        "tok_3ds",
        "tok_3ds_fail",
        "tok_timeout_then_ok",
        "tok_timeout_then_fail",
        "tok_dispute",
        "tok_refund_waits",
    ]
)
PAYING = st.sampled_from(["tok_ok", "tok_ok", "tok_timeout_then_ok", "tok_dispute", "tok_refund_waits"])
FATES = st.lists(st.sampled_from(["well", "loses its answer", "answers late", "never arrives"]), min_size=1, max_size=3)
AGAIN = st.sampled_from(["once", "once", "comes again", "is retold", "says more"])
CANCEL_CHOICES = [
    (CancelledBy.SUBSCRIBER, CancelMode.AT_PERIOD_END, RefundPolicy.NONE),
    (CancelledBy.SUBSCRIBER, CancelMode.AT_PERIOD_END, RefundPolicy.NONE),
    (CancelledBy.CREATOR, CancelMode.IMMEDIATE, RefundPolicy.PRORATED),
    (CancelledBy.STAFF, CancelMode.IMMEDIATE, RefundPolicy.FULL),
]
CANCELS = st.sampled_from(CANCEL_CHOICES)
TIMES = st.sampled_from(
    [timedelta(minutes=2), timedelta(minutes=40), timedelta(hours=23), timedelta(days=6), timedelta(days=13)]
)
LASTING = (
    Subscription,
    SubscriptionPeriod,
    ReceivedPayment,
    RequestedPayment,
    SubscriptionRef,
    PostOffer,
    PaymentOrder,
    PaymentAttempt,
    Refund,
    Dispute,
    Tip,
    PostPurchase,
    LedgerEntry,
    SandboxCharge,
    SandboxRefund,
)
REFUSED = (DomainError, NotYetError, Subscription.DoesNotExist, PostOffer.DoesNotExist, PaymentOrder.DoesNotExist)


class BillingMachine(RuleBasedStateMachine):
    """Each history on an empty platform, rolled back at its end."""

    steps: ClassVar[int] = 0

    def __init__(self):
        super().__init__()
        self.billing = Billing()
        self.holds = True

    def teardown(self):
        try:
            if not self.holds:
                return  # the story is told; what the broken rest would say next only hides why
            self.all_comes_to_rest()
            self.time_passes_and_nobody_waits()
            self.all_news_again_changes_nothing()
        finally:
            self.billing.close()

    def check(self, invariants):
        self.holds = False
        for invariant in invariants:
            invariant(self.billing)
        self.holds = True

    def stepped(self):
        type(self).steps += 1
        self.check(AT_ALL_TIMES)

    # --- what people do -----------------------------------------------------------------------------------------------

    def wish(self, work, *, dies=False):
        """Somebody wishes for something; what is refused, or dies before its commit, has not happened."""
        told = len(self.billing.told)
        refused = False
        with self.billing.acting(), suppress(DiedError):
            try:
                with transaction.atomic():
                    work()
                    if dies:
                        raise DiedError
            except REFUSED as error:
                refused = True
                tell_reader(f"refused: {error!r}")
        assert not (dies or refused) or len(self.billing.told) == told
        self.stepped()

    def of_fan(self, fan):
        """The fan's newest subscription."""
        found = Subscription.objects.filter(subscriber_id=self.billing.fans[fan].pk).order_by("-pk").first()
        return found.pk if found else uuid4()

    @rule(fan=FANS, which=st.integers(0, 4), token=TOKENS, trial=st.sampled_from([None, False]), dies=st.booleans())
    def a_fan_subscribes(self, fan, which, token, trial, dies):
        self.wish(lambda: self.subscribe(fan, which, token, trial), dies=dies and which == 4)

    def subscribe(self, fan, which, token, trial=False):
        price = self.billing.prices[which]
        return subscribe(
            subscriber_id=self.billing.fans[fan].pk,
            tier_id=price.tier_id,
            price_id=price.pk,
            expected_amount=price.amount,
            expected_currency="USD",
            payment_method_id=self.billing.card(fan, token).pk,
            trial=trial,
        )

    @rule(fan=FANS, which=st.integers(0, 2), token=PAYING)
    def a_fan_subscribes_and_all_goes_well(self, fan, which, token):
        self.wish(lambda: self.subscribe(fan, which, token))
        self.all_goes_well()

    @rule(fan=FANS, token=PAYING)
    def a_fan_pays_more_and_all_goes_well(self, fan, token):
        self.billing.clock.shift(timedelta(days=1))
        self.a_fan_changes(fan=fan, which=2, token=token)
        self.all_goes_well()

    @rule(fan=FANS)
    def a_period_passes(self, fan):
        """The renewal is asked for and, when its time has come, charged."""
        for _ in range(2):
            self.the_clock_is_on_time(fan=fan, late=False)
        self.billing.clock.shift(timedelta(hours=1, seconds=5))
        self.all_goes_well()

    @rule(fan=FANS, how=CANCELS)
    def somebody_cancels(self, fan, how):
        by, mode, refund = how
        self.wish(lambda: cancel(subscription_id=self.of_fan(fan), cancelled_by=by, mode=mode, refund_policy=refund))

    @rule(fan=FANS)
    def a_fan_stays_after_all(self, fan):
        self.wish(lambda: resume(subscription_id=self.of_fan(fan)))

    @rule(fan=FANS, which=st.integers(0, 4), token=st.none() | TOKENS)
    def a_fan_changes(self, fan, which, token):
        price = self.billing.prices[which]
        card = self.billing.card(fan, token).pk if token else None
        self.wish(
            lambda: change_price(
                subscription_id=self.of_fan(fan),
                price_id=price.pk,
                expected_amount=price.amount,
                payment_method_id=card,
            )
        )

    @rule(fan=FANS, token=st.none() | TOKENS)
    def a_fan_mends_the_payment(self, fan, token):
        if token is None:
            self.wish(lambda: retry_payment(subscription_id=self.of_fan(fan)))
        else:
            card = self.billing.card(fan, token).pk
            self.wish(lambda: change_payment_method(subscription_id=self.of_fan(fan), payment_method_id=card))

    @rule(fan=FANS)
    def invariant_14_cancelling_and_staying_is_nothing(self, fan):
        found = Subscription.objects.filter(pk=self.of_fan(fan), status__in=("trialing", "active")).first()
        if found is None or found.cancel_at_period_end or found.current_period_end <= timezone.now():
            return
        if found.requested_payments.filter(state="open").exists():
            return  # then what is asked for is withdrawn, and asked for again
        before = lasting(found)
        self.wish(
            lambda: cancel(subscription_id=found.pk, cancelled_by=CancelledBy.STAFF, mode=CancelMode.AT_PERIOD_END)
        )
        self.wish(lambda: resume(subscription_id=found.pk))
        assert lasting(Subscription.objects.get(pk=found.pk)) == before

    @rule(fan=FANS, token=TOKENS, amount=st.sampled_from([50, 999]), dies=st.booleans())
    def a_fan_tips(self, fan, token, amount, dies):
        self.wish(
            lambda: send_tip(
                sender_id=self.billing.fans[fan].pk,
                recipient_id=self.billing.creator.pk,
                amount=amount,
                currency="USD",
                payment_method_id=self.billing.card(fan, token).pk,
            ),
            dies=dies and amount == 50,
        )

    @rule(fan=FANS, token=TOKENS, which=st.integers(0, 1))
    def a_fan_buys(self, fan, token, which):
        story = self.billing.stories[which]
        offer = PostOffer.objects.filter(pk=story.post_id).first()
        self.wish(
            lambda: buy_post(
                buyer_id=self.billing.fans[fan].pk,
                post_id=story.post_id,
                expected_amount=offer.amount if offer else 0,
                expected_currency="USD",
                payment_method_id=self.billing.card(fan, token).pk,
            )
        )

    def order(self, which, *statuses):
        ids = PaymentOrder.objects.filter(status__in=statuses).order_by("-pk").values_list("pk", flat=True)
        return ids[which % len(ids)] if ids else uuid4()

    @rule(which=NUMBERS)
    def a_payer_confirms(self, which):
        self.wish(lambda: confirm_payment(order_id=self.order(which, "requires_action")))

    @rule(which=NUMBERS)
    def a_payer_calls_off(self, which):
        self.wish(lambda: cancel_payment(order_id=self.order(which, *PaymentOrder.OPEN)))

    @rule(which=NUMBERS, amount=st.none() | st.integers(1, 600), revoke_access=st.sampled_from([None, True, False]))
    def money_is_given_back(self, which, amount, revoke_access):
        self.wish(
            lambda: refund_payment(
                order_id=self.order(which, *PaymentOrder.CAPTURED),
                amount=amount,
                reason="other",
                revoke_access=revoke_access,
                source="staff",
            )
        )

    @rule(which=st.integers(0, 1), what=st.sampled_from(["dearer", "off sale", "on sale", "deleted"]))
    def a_post_changes(self, which, what):
        story = self.billing.stories[which]
        newest = self.billing.snapshots[story.post_id]
        number = newest.sequence + 1
        if not hasattr(newest, "status"):
            return  # it is gone
        if what == "deleted":
            event = story.deleted(number, refund_purchases=bool(number % 2))
        else:
            status = PostStatus.WITHDRAWN if what == "off sale" else PostStatus.PUBLISHED
            event = story.updated(number, status=status, price_amount=900 + number, price_version=number)
        self.billing.tell_of_post(story, event)
        self.stepped()

    # --- what the world does ------------------------------------------------------------------------------------------

    @rule(which=NUMBERS, verdict=st.sampled_from(["under_review", "won", "lost"]))
    def a_bank_decides(self, which, verdict):
        disputes = list(SandboxDispute.objects.exclude(status__in=["won", "lost"]).order_by("created_at", "pk"))
        if disputes:
            dispute_id = disputes[which % len(disputes)].pk
            with self.billing.acting():
                MoodyGateway().decide_dispute(dispute_id, verdict)
            self.stepped()

    @rule(which=NUMBERS, verdict=st.sampled_from(["succeeded", "failed"]))
    def a_bank_decides_on_a_refund(self, which, verdict):
        refunds = list(SandboxRefund.objects.exclude(status="failed").order_by("created_at", "pk"))
        if refunds:
            refund = refunds[which % len(refunds)]
            with self.billing.acting():
                MoodyGateway().decide_refund(refund.pk, verdict)
            self.stepped()

    @rule(fates=FATES)
    def the_gateway_will(self, fates):
        self.billing.fates[:] = fates

    @precondition(lambda self: self.billing.waiting())
    @rule(places=st.lists(NUMBERS, min_size=1, max_size=4), again=AGAIN)
    def news_travels(self, places, again):
        for which in places:
            waiting = self.billing.waiting()
            if waiting:
                self.billing.carry(waiting[which % len(waiting)], again)
        self.stepped()

    @precondition(lambda self: self.billing.jobs)
    @rule(which=NUMBERS, how=st.sampled_from(["once", "once", "twice", "never"]))
    def a_worker_works(self, which, how):
        job = self.billing.jobs.pop(which % len(self.billing.jobs))
        tell_reader(job.name)
        if how == "never" and job.may_be_lost:
            return
        self.billing.do(job)
        if how == "twice":
            self.billing.do(job)
        self.stepped()

    @rule(time=TIMES, works=st.sets(st.sampled_from(CLOCK)))
    def time_passes(self, time, works):
        self.billing.clock.shift(time)
        self.billing.work([work for work in CLOCK if work in works])
        self.stepped()

    @rule(fan=FANS, late=st.booleans())
    def the_clock_is_on_time(self, fan, late):
        """The moment that the fan's subscription waits for."""
        found = Subscription.objects.filter(pk=self.of_fan(fan), next_action_at__gt=timezone.now()).first()
        if found is not None:
            self.billing.clock.move_to(found.next_action_at + timedelta(minutes=70 * late))
            self.billing.work(SUBSCRIPTION_CLOCK)
            self.stepped()

    def all_goes_well(self):
        self.billing.come_to_rest()
        self.stepped()

    @rule()
    def all_comes_to_rest(self):
        self.all_goes_well()
        self.check(AT_REST)

    # --- in the end ---------------------------------------------------------------------------------------------------

    def time_passes_and_nobody_waits(self):
        with self.billing.acting():
            for refund in SandboxRefund.objects.filter(status="pending"):
                MoodyGateway().decide_refund(refund.pk, "succeeded")
        for time in (timedelta(hours=2), timedelta(days=2), timedelta(days=23)):
            self.billing.clock.shift(time)
            self.billing.work(SUBSCRIPTION_CLOCK)
            self.billing.come_to_rest()
        self.check([*AT_ALL_TIMES, *AT_REST, *IN_THE_END])

    def all_news_again_changes_nothing(self):
        """Invariants 23 and 24: told again, in its order or in any between topics, everything is as it was."""
        before, known = lasting_state(), known_to("payments")
        InboxEvent.objects.all().delete()
        for room in ROOMS:
            heard = [message_of(event) for event in heard_by(room, self.billing.told)]
            with self.billing.acting():
                Processor(room).process(heard)
        self.billing.drain()
        changed = changed_since(before)
        assert not changed, changed
        told = [*self.billing.told, *self.billing.told_of_posts]
        with TestCase.captureOnCommitCallbacks():  # whatever that would charge or refund, nothing is left to do
            assert relearned("payments", told, Random(len(told))) == known


def tell_reader(said):
    """A line for the story of a failing history."""
    if currently_in_test_context():
        note(f"  {said}")


class DiedError(Exception):
    """The process that was about to commit is gone."""


def lasting_state():
    """Every row that the same news told again could double or change, but for what counts that it came."""
    return {(model.__name__, str(row.pk)): lasting(row) for model in LASTING for row in model.objects.all()}


def changed_since(before):
    """Each field that is not as it was: its row, name, and both values."""
    after = lasting_state()
    return [
        (*row, name, before.get(row, {}).get(name), after.get(row, {}).get(name))
        for row in sorted(before.keys() | after.keys())
        for name in sorted(before.get(row, {}).keys() | after.get(row, {}).keys())
        if before.get(row, {}).get(name) != after.get(row, {}).get(name)
    ]
