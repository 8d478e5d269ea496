"""Whatever people, the gateway, the broker, the workers and the clock do, the invariants of money hold."""

import os
import re

import pytest
from django.db import DatabaseError
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from payments.gateways import registry
from payments.models.projections import SubscriptionRef
from payments.services import billing, ledger, orders, outcomes, refunds
from subscriptions.services import payments
from tests.flows.billing_invariants import invariant_01_the_books_sum_to_zero
from tests.flows.billing_machine import CANCEL_CHOICES, BillingMachine
from tests.flows.billing_platform import SECRET, MoodyGateway, queue_tasks

HISTORIES = int(os.environ.get("BILLING_HISTORIES", "28"))  # a night's worth: BILLING_HISTORIES=3000
STEPS = 110
LONGEST_STORY = 5
# A rule's name in several words, and arguments that say what they are: no object, no id.
STEP_IN_WORDS = re.compile(r"state\.[a-z]+(_[a-z0-9]+)+\(((\w+)=[^<>]*)?\)")

pytestmark = pytest.mark.usefixtures("_billing")


@pytest.fixture
def _billing(db, settings, monkeypatch):
    settings.SANDBOX_WEBHOOK_SECRETS = [SECRET]
    settings.PROCESSOR_KEEPS_FEE = False
    queue_tasks(monkeypatch)
    monkeypatch.setitem(registry.GATEWAYS, "sandbox", MoodyGateway)
    monkeypatch.setattr(BillingMachine, "steps", 0)


@pytest.mark.long
def test_no_history_breaks_an_invariant():
    run_state_machine_as_test(
        BillingMachine,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize="BILLING_HISTORIES" not in os.environ,  # the same every day; each night has its own
            suppress_health_check=list(HealthCheck),
        ),
    )

    assert BillingMachine.steps >= 2000 * HISTORIES // 28


def eventful_history():
    """By hand what the machine does at random: news twice and late, money that comes too late, too much asked back."""
    machine = BillingMachine()
    try:
        machine.a_fan_subscribes(fan=0, which=0, token="tok_ok", trial=None, dies=False)
        machine.news_travels(places=[2], again="is retold")
        machine.all_comes_to_rest()
        machine.somebody_cancels(fan=0, how=CANCEL_CHOICES[0])
        machine.news_travels(places=[0], again="is retold")
        machine.a_fan_stays_after_all(fan=0)
        machine.all_comes_to_rest()
        machine.a_fan_subscribes(fan=1, which=2, token="tok_3ds", trial=None, dies=False)
        machine.all_comes_to_rest()
        machine.a_payer_confirms(which=0)
        machine.somebody_cancels(fan=1, how=CANCEL_CHOICES[0])
        machine.all_comes_to_rest()
        machine.a_fan_tips(fan=0, token="tok_ok", amount=999, dies=False)
        machine.all_comes_to_rest()
        for _ in range(2):
            machine.money_is_given_back(which=0, amount=None, revoke_access=None)
        machine.a_fan_tips(fan=1, token="tok_3ds", amount=50, dies=False)
    finally:
        machine.teardown()


def test_the_history_that_finds_mistakes_finds_none_in_what_is_right():
    eventful_history()


def forget_what_was_heard(patch):
    heard_of = payments.heard_of

    def wrong(payment_id, subscription):
        payment = heard_of(payment_id, subscription)
        payment.outcome = None
        return payment

    patch.setattr(payments, "heard_of", wrong)


def believe_old_news(patch):
    remember = billing.remember

    def wrong(fact, **charge):
        SubscriptionRef.objects.filter(pk=fact.subscription_id).update(source_sequence=-1)
        return remember(fact, **charge)

    patch.setattr(billing, "remember", wrong)


def give_back_more_than_came(patch):
    patch.setattr(refunds, "remaining_of", lambda order: order.amount)


def leave_a_line_out_of_the_books(patch):
    post = ledger.post
    patch.setattr(ledger, "post", lambda order, *, lines, **fields: post(order, lines=lines[1:], **fields))


def share_out_wrongly(patch):
    patch.setattr(ledger, "creator_account_of", lambda order: "creator_payable")


def let_nothing_expire(patch):
    patch.setattr(orders, "expire_order", lambda order_id: None)


def keep_what_came_too_late(patch):
    patch.setattr(outcomes, "reason_to_give_back", lambda order: None)
    patch.setattr(payments, "refuse", lambda subscription, payment, outcome: subscription)


@pytest.mark.parametrize(
    "mistake",
    [
        forget_what_was_heard,
        believe_old_news,
        give_back_more_than_came,
        leave_a_line_out_of_the_books,
        share_out_wrongly,
        let_nothing_expire,
        keep_what_came_too_late,
    ],
)
def test_a_mistake_is_found(mistake, monkeypatch):
    mistake(monkeypatch)

    with pytest.raises((AssertionError, DatabaseError)):  # an invariant, or the database's own constraint
        eventful_history()


class QuickMachine(BillingMachine):
    """The same, but with one invariant and no rest at the end: shrinking lives through many histories."""

    def check(self, invariants):
        super().check([each for each in invariants if each is invariant_01_the_books_sum_to_zero])

    def teardown(self):
        self.billing.close()


def story_of(error):
    """The steps that Hypothesis prints of a failing history, but for its beginning and end."""
    lines = "\n".join(error.__notes__).splitlines()
    return [line for line in lines if line.startswith("state.") and line != "state.teardown()"]


def test_a_failure_is_told_as_a_short_story(monkeypatch):
    leave_a_line_out_of_the_books(monkeypatch)

    with pytest.raises(DatabaseError, match="does not sum to zero") as failure:
        run_state_machine_as_test(
            QuickMachine,
            settings=settings(
                max_examples=25,
                stateful_step_count=20,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate, Phase.shrink],
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )

    story = story_of(failure.value)
    assert 1 <= len(story) <= LONGEST_STORY
    assert [step for step in story if not STEP_IN_WORDS.fullmatch(step)] == []
