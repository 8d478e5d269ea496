import pytest

from config import checks
from config.celery import BEAT_SCHEDULE


def test_the_beat_table_names_tasks_that_exist():
    assert BEAT_SCHEDULE
    assert checks.scheduled_tasks_exist(None) == []


def test_a_misspelt_task_is_found(monkeypatch):
    monkeypatch.setitem(BEAT_SCHEDULE, "wrong", {"task": "payments.tasks.charge_everybody"})

    [error] = checks.scheduled_tasks_exist(None)
    assert (error.id, error.msg) == (
        "tributary.E002",
        "The beat table runs 'payments.tasks.charge_everybody', which is no task",
    )


def test_every_scope_of_the_platform_has_a_rate():
    assert checks.throttle_scopes_have_rates(None) == []


@pytest.mark.urls("tests.api.probe")
def test_a_scope_without_a_rate_is_found():
    found = checks.throttle_scopes_have_rates(None)

    assert {error.id for error in found} == {"tributary.E001"}
    assert "tests.api.probe.Plain is throttled as 'probe', which has no rate" in [error.msg for error in found]
