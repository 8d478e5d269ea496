"""Rows are locked in one order everywhere, so that nobody waits in a ring: read off the SQL of a whole life."""

import re
from datetime import timedelta

import pytest
from django.db import connection, transaction

from payments import tasks as payment_tasks
from payments.gateways.sandbox import SandboxGateway
from payments.models.orders import PaymentAttempt, PaymentOrder
from payments.models.projections import PostOffer, SubscriptionRef
from payments.models.refunds import Refund
from payments.models.sandbox import SandboxDispute
from subscriptions import tasks
from subscriptions.models.subscriptions import Subscription
from tests.flows.test_renewals import clock_work, when
from tests.flows.world import behave_as

# What is locked first, then, and last; rows of one rank are locked by whoever holds the row above them.
RANKS = {
    "subscriptions_subscription": 1,
    "subscriptions_tier": 2,
    "payments_subscriptionref": 3,
    "payments_postoffer": 3,
    "payments_paymentorder": 4,
    "payments_paymentattempt": 5,
    "payments_refund": 5,
    "payments_dispute": 5,
}
LOCKED = re.compile(r'SELECT .*? FROM "(\w+)".* FOR (?:NO KEY )?UPDATE', re.DOTALL)


class LockWatch:
    """The tables whose rows each transaction locked, in its order; here a transaction is an outermost savepoint."""

    def __init__(self):
        self.transactions, self.depth = [], 0

    def __call__(self, execute, sql, params, many, context):
        if sql.startswith("SAVEPOINT"):
            self.depth += 1
            if self.depth == 1:
                self.transactions.append([])
        elif sql.startswith("RELEASE SAVEPOINT"):
            self.depth -= 1
        elif self.depth and (found := LOCKED.match(sql)) and found[1] in RANKS:
            self.transactions[-1].append(found[1])
        return execute(sql, params, many, context)

    def inversions(self):
        return [
            locked
            for locked in self.transactions
            if [RANKS[table] for table in locked] != sorted(RANKS[table] for table in locked)
        ]


@pytest.fixture
def watch(world):
    made = LockWatch()
    with connection.execute_wrapper(made):
        yield made


def live(world):
    """Renewed, declined, mended, changed, disputed, given back, cancelled, bought, deleted."""
    tier = world.tier(max_subscribers=9)
    post = world.sell(700)
    card = world.card()
    subscription = world.subscribe(tier, card)
    world.settle()
    world.clock.move_to(when(world.subscription(subscription)) - timedelta(minutes=59))
    clock_work(world)
    behave_as(card, "tok_decline_soft")
    world.wait(hours=1)
    clock_work(world)
    behave_as(card, "tok_ok")
    world.post(world.fan, f"subscriptions/{subscription['id']}/retry-payment", expect=202)
    world.settle()
    dear = world.tier(amount=2400, name="Dear")
    world.wait(days=3)
    wish = {"price_id": dear["prices"][0]["id"], "expected_amount": 2400}
    world.post(world.fan, f"subscriptions/{subscription['id']}/change", wish, expect=200)
    world.settle()
    purchase = world.buy(post, card)
    world.settle()
    tip = world.tip(world.card(token="tok_dispute"))
    world.settle()
    with world.background():
        SandboxGateway().decide_dispute(SandboxDispute.objects.get().pk, "won")
    world.settle()
    assert world.payment(tip)["status"] == "succeeded"
    world.refund(world.payment(purchase), amount=100)
    unsold = world.sell(300)
    world.buy(unsold, world.card(token="tok_3ds"))
    world.settle()
    world.delete(unsold)
    world.settle()
    world.cancel(subscription, world.creator, mode="immediate", refund_policy="full")
    world.settle()
    world.wait(days=8)
    for task in (payment_tasks.clear_due, payment_tasks.expire_orders, tasks.expire_unpaid_subscriptions):
        world.run(task)


def test_locks_are_taken_in_one_order(world, settings, watch):
    settings.SANDBOX_WEBHOOK_SECRETS = ["whsec"]
    live(world)

    assert watch.inversions() == []
    assert {table for locked in watch.transactions for table in locked} == set(RANKS)
    assert max(len(set(locked)) for locked in watch.transactions) >= 3


@pytest.mark.parametrize(
    "models", [(PaymentOrder, SubscriptionRef), (PaymentAttempt, PaymentOrder), (Refund, PostOffer)]
)
def test_the_other_order_is_found(world, watch, models):
    with transaction.atomic():
        for model in (Subscription, *models):
            list(model.objects.select_for_update())

    assert watch.inversions() == [[model._meta.db_table for model in (Subscription, *models)]]
