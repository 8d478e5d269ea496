"""Random histories of payers, gateways, banks and clocks; after every step the books are right.

A history is a list of steps, so that a failing one shrinks to a story that can be read. They are over 2,000 steps.
"""

import os
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection, transaction
from django.db.models import Sum
from django.test import TestCase
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from eventbus.exceptions import DomainError
from eventbus.models import OutboxEvent
from eventbus.testing import deliver
from payments import tasks
from payments.gateways.sandbox import SandboxGateway
from payments.models.disputes import Dispute
from payments.models.ledger import LedgerEntry
from payments.models.methods import PaymentMethod
from payments.models.orders import PaymentAttempt, PaymentOrder
from payments.models.refunds import Refund
from payments.models.sandbox import SandboxCharge, SandboxDispute, SandboxRefund
from payments.models.webhooks import GatewayEvent
from payments.selectors import earnings_of
from payments.services.charging import STALE_AFTER, claim, confirm_payment
from payments.services.orders import cancel_payment
from payments.services.refunds import refund_payment
from payments.services.verification import first_fault
from subscriptions.events import BillingReason, Change
from tests.accounts.factories import make_creator, make_user
from tests.payments.factories import SubscriptionStory, billing_request, make_method, make_tip

START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
TOKENS = [
    *["tok_ok"] * 6,
    "tok_decline_soft",
    "tok_decline_hard",
    "tok_3ds",
    "tok_3ds_fail",
    "tok_timeout_then_ok",
    "tok_timeout_then_fail",
    "tok_dispute",
]
HISTORIES = int(os.environ.get("MONEY_HISTORIES", "60"))  # a night's worth: MONEY_HISTORIES=3000

number = st.integers(0, 10_000)
STEPS = st.one_of(
    st.tuples(st.just("tip"), st.sampled_from(TOKENS), st.sampled_from([("USD", 999), ("USD", 50), ("JPY", 501)])),
    st.tuples(st.just("renew"), st.sampled_from(TOKENS), number),
    st.tuples(st.just("die_before_asking"), st.sampled_from(TOKENS), number),
    st.tuples(st.just("refund"), number, st.one_of(st.none(), st.integers(1, 600))),
    st.tuples(st.just("confirm"), number, number),
    st.tuples(st.just("cancel"), number, number),
    st.tuples(st.just("new_card"), st.sampled_from(TOKENS), number),
    st.tuples(st.just("end_subscription"), number, number),
    st.tuples(st.just("decide"), number, st.sampled_from(["under_review", "won", "lost"])),
    st.tuples(st.just("tell_again"), number, number),
    st.tuples(st.just("wait"), st.sampled_from([30, 90, 2_000, 90_000, 700_000, 700_000]), number),
)


class History:
    """One platform with one fan, one creator and a clock."""

    def __init__(self, clock):
        self.clock = clock
        self.fan, self.creator = make_user(), make_creator()
        self.stories = []

    def take(self, step, first, second):
        """Do one step; what the rules refuse does not happen."""
        with TestCase.captureOnCommitCallbacks(execute=True):
            try:
                with transaction.atomic():
                    getattr(self, step)(first, second)
            except DomainError:
                pass

    def card(self, token, owner_id=None):
        return make_method(owner_id or self.fan.id, token=f"{token}:{PaymentMethod.objects.count()}")

    def tip(self, token, money):
        currency, amount = money
        self.fan = make_user()  # one who is declined too often would be locked, and the history would stand still
        make_tip(self.fan, self.creator, self.card(token), amount=amount, currency=currency)

    def renew(self, token, cycle):
        now = timezone.now()
        story = SubscriptionStory(self.fan.id, self.creator.id, self.card(token).id)
        story.sequence, story.request = (
            2,
            billing_request(
                reason=BillingReason.RENEWAL,
                cycle_number=2 + cycle % 3,
                period_start=now,
                period_end=now + timedelta(days=30),
                expires_at=now + timedelta(days=10),
                payment_method_id=story.method_id,
            ),
        )
        self.stories.append(story)
        deliver(story.updated(2, change=Change.RENEWAL_DUE, request=story.request), to="payments")

    def die_before_asking(self, token, _):
        tip = make_tip(self.fan, self.creator, self.card(token), amount=700, currency="USD")
        claim(order_id=tip.order_id)

    def one_of(self, rows, index):
        found = list(rows.order_by("pk"))
        return found[index % len(found)] if found else None

    def refund(self, index, amount):
        order = self.one_of(PaymentOrder.objects.all(), index)
        if order:
            refund_payment(order_id=order.id, amount=amount, reason="other", revoke_access=None, source="staff")

    def confirm(self, index, _):
        order = self.one_of(PaymentOrder.objects.filter(status="requires_action"), index)
        if order:
            confirm_payment(order_id=order.id)

    def cancel(self, index, _):
        order = self.one_of(PaymentOrder.objects.all(), index)
        if order:
            cancel_payment(order_id=order.id)

    def new_card(self, token, index):
        if self.stories:
            story = self.stories[index % len(self.stories)]
            story.sequence += 1
            fields = {name: getattr(story.request, name) for name in story.request.__struct_fields__}
            request = billing_request(**{**fields, "payment_method_id": self.card(token, story.subscriber_id).id})
            event = story.updated(story.sequence, change=Change.PAYMENT_METHOD_UPDATED, request=request)
            deliver(event, event, to="payments")

    def end_subscription(self, index, _):
        if self.stories:
            story = self.stories[index % len(self.stories)]
            story.sequence += 1
            deliver(story.ended(story.sequence), to="payments")

    def decide(self, index, status):
        dispute = self.one_of(SandboxDispute.objects.exclude(status__in=["won", "lost"]), index)
        if dispute:
            SandboxGateway().decide_dispute(dispute.pk, status)

    def tell_again(self, index, _):
        event = self.one_of(GatewayEvent.objects.all(), index)
        if event:
            GatewayEvent.objects.filter(pk=event.pk).update(handled_at=None, next_attempt_at=timezone.now(), attempts=0)
            tasks.handle_gateway_event(str(event.pk))

    def wait(self, seconds, _):
        self.clock.shift(timedelta(seconds=seconds))
        self.tick()

    def tick(self):
        """Let the clock's work be done once."""
        tasks.charge_due_orders()
        tasks.expire_orders()
        tasks.void_due()
        tasks.refund_due()
        tasks.gateway_events_due()
        tasks.clear_due()

    def heal(self):
        """Let time pass until nothing is under way."""
        for _ in range(4):
            with TestCase.captureOnCommitCallbacks(execute=True):
                self.clock.shift(STALE_AFTER + timedelta(seconds=31))
                self.tick()


def assert_the_books_are_right(history):
    """What must hold after every step."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    assert first_fault() is None
    by_currency = LedgerEntry.objects.order_by().values("account__currency").annotate(total=Sum("amount"))
    assert all(row["total"] == 0 for row in by_currency)
    for earned in earnings_of(history.creator.id):
        assert min(earned.pending, earned.payable, earned.held) >= 0
        orders = PaymentOrder.objects.filter(status__in=PaymentOrder.CAPTURED, currency=earned.currency)
        given = Refund.objects.filter(order__in=orders, status="succeeded").aggregate(
            total=Sum("creator_share", default=0)
        )
        assert earned.total == orders.aggregate(total=Sum("creator_net_amount", default=0))["total"] - given["total"]
    taken = Counter()
    for order_id, amount in Refund.objects.filter(status__in=["pending", "succeeded"]).values_list("order", "amount"):
        taken[order_id] += amount
    for order_id, amount in Dispute.objects.open().values_list("order", "held_amount"):
        taken[order_id] += amount
    for order in PaymentOrder.objects.all():
        assert order.parts.total == order.amount >= taken[order.id]
    assert_one_attempt_at_a_time()


def assert_one_attempt_at_a_time():
    """No order has two attempts whose outcome is unknown, nor two that were paid."""
    for statuses in (["processing", "requires_action"], ["succeeded"]):
        attempts = PaymentAttempt.objects.filter(status__in=statuses).values_list("order_id", flat=True)
        assert [order for order, count in Counter(attempts).items() if count > 1] == []


def assert_the_gateway_agrees():
    """Once all is healed: the gateway took and gave back what the books say, and nothing is under way."""
    assert PaymentOrder.objects.filter(status="processing").count() == 0
    captured = SandboxCharge.objects.filter(status="captured").aggregate(total=Sum("amount", default=0))["total"]
    returned = SandboxRefund.objects.aggregate(total=Sum("amount", default=0))["total"]
    lost = SandboxDispute.objects.filter(status="lost").aggregate(total=Sum("amount", default=0))["total"]
    clearing = LedgerEntry.objects.filter(account__kind="payer_clearing").total()
    assert captured - returned - lost == -clearing
    kept = PaymentOrder.objects.filter(status__in=["succeeded", "partially_refunded", "disputed"])
    references = Counter(kept.values_list("kind", "reference_id", "cycle_number"))
    assert [reference for reference, count in references.items() if count > 1] == []


@pytest.fixture
def _telling(settings, eager, db):
    settings.SANDBOX_WEBHOOK_SECRETS = ["whsec"]
    settings.PROCESSOR_KEEPS_FEE = False


@pytest.mark.long
@pytest.mark.usefixtures("_telling")
@profile(max_examples=HISTORIES, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, min_size=25, max_size=45))
def test_after_every_step_the_books_are_right_and_in_the_end_the_gateway_agrees(steps):
    with time_machine.travel(START, tick=False) as clock, transaction.atomic():
        history = History(clock)
        for step, first, second in steps:
            history.take(step, first, second)
            assert_the_books_are_right(history)
            OutboxEvent.objects.all().delete()
        history.heal()
        assert_the_books_are_right(history)
        assert_the_gateway_agrees()
        transaction.set_rollback(True)
