"""A relay's leases are renewed as long as it runs, whatever the database answers once."""

import logging
from typing import Any

import pytest
from django.db import connection

from eventbus.leases import Leases
from eventbus.relay import Relay

REFUSAL = "DO $$ BEGIN RAISE EXCEPTION 'not today' USING ERRCODE = '55000'; END $$"


@pytest.mark.django_db(transaction=True)
@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_renewal_that_fails_is_made_the_next_time(
    bus: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the database says to one: the next renewal comes before the lease is over."""
    bus.EVENTBUS = {**bus.EVENTBUS, "lease_seconds": 0.4}
    leases, renew, calls = Relay().leases, Leases._renew, list[int]()

    def fail_once(renewing: Leases) -> None:
        calls.append(1)
        if len(calls) == 1:
            with connection.cursor() as cursor:
                cursor.execute(REFUSAL)
        renew(renewing)
        renewing._closing.set()

    monkeypatch.setattr(Leases, "_renew", fail_once)
    leases.start()
    leases._thread.join(timeout=60)

    assert not leases._thread.is_alive()
    assert len(calls) == 2
    assert [(line.levelno, line.getMessage()) for line in caplog.records if line.name == "eventbus.leases"] == [
        (logging.WARNING, "relay: the leases were not renewed, the next time is soon: not today")
    ]
    leases.close()
