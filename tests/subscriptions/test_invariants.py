"""Whatever happens in whatever order, the invariants of subscriptions hold after every step, and all comes to rest."""

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.subscriptions.machine import SubscriptionMachine

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
