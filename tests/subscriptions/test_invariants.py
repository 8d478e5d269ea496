"""Whatever happens in whatever order, the invariants of subscriptions hold after every step, and all comes to rest."""

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from subscriptions.events import CancelledBy, CancelMode
from subscriptions.models.subscriptions import Subscription
from subscriptions.services import cancellation, dunning, payments
from tests.subscriptions.machine import CLOCK_WORK, SubscriptionMachine

HISTORIES = int(os.environ.get("SUBSCRIPTION_HISTORIES", "60"))  # a night's worth: SUBSCRIPTION_HISTORIES=3000
STEPS = 40


@pytest.mark.django_db
def test_no_history_breaks_the_rules_of_a_subscription(monkeypatch):
    monkeypatch.setattr(SubscriptionMachine, "steps", 0)
    run_state_machine_as_test(
        SubscriptionMachine,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

    assert SubscriptionMachine.steps >= 2000 * HISTORIES // 60


def eventful_history():
    """By hand what the machine does at random: a change is paid, and a withdrawal is heard after its successor."""
    machine = SubscriptionMachine()

    def steps():
        yield machine.somebody_subscribes(fan=0, which=0, trial=None)
        yield machine.an_hour_in_which_all_goes_well()
        yield machine.a_fan_changes(fan=0, which=2)
        yield machine.an_hour_in_which_all_goes_well()
        assert Subscription.objects.get().amount == 1500
        yield machine.the_clock_is_on_time(fan=0, is_late=False)
        yield machine.settle()
        yield machine.somebody_cancels(fan=0, way=(CancelledBy.SUBSCRIBER, CancelMode.AT_PERIOD_END))
        late = machine.unheard.pop()
        yield machine.a_fan_stays_after_all(fan=0)
        yield machine.the_clock_comes_round(works=CLOCK_WORK)
        yield machine.settle()
        machine.unheard.append(late)
        yield machine.settle()

    try:
        for _ in steps():
            machine.each_subscription_keeps_its_rules()
    finally:
        machine.teardown()


@pytest.mark.django_db
def test_a_history_full_of_events_keeps_the_rules():
    eventful_history()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("module", "name", "mistake"),
    [
        (payments, "cut_short", lambda subscription, at: None),
        (payments, "note_answer", lambda request, state: None),
        (cancellation, "withdraw", lambda subscription, *reasons: None),
        (dunning, "repeat_awaited", lambda subscription, cycle: subscription),
    ],
    ids=["periods overlap", "an answer is forgotten", "nothing is withdrawn", "nothing is repeated"],
)
def test_a_mistake_is_found(monkeypatch, module, name, mistake):
    monkeypatch.setattr(module, name, mistake)

    with pytest.raises(AssertionError):
        eventful_history()
