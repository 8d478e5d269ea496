"""A creator with a tier, a fan, and what may be between them."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
import time_machine
from rest_framework.test import APIClient

from tests.subscriptions.factories import choose, forget_events, make_active, make_creator, make_tier, make_user

NOW = datetime(2031, 1, 31, 12, 0, tzinfo=UTC)


@pytest.fixture
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def creator(db):
    return make_creator()


@pytest.fixture
def fan(db):
    return make_user()


@pytest.fixture
def tier(creator):
    made = make_tier(creator, name="Backstage")
    forget_events()
    return made


@pytest.fixture
def incomplete(clock, tier, fan):
    made = choose(tier, fan)
    forget_events()
    return made


@pytest.fixture
def active(clock, tier, fan):
    made = make_active(tier, fan, paid_at=NOW)
    forget_events()
    return made


@pytest.fixture
def api():
    def client_of(user=None):
        client = APIClient()
        if user is not None:
            client.force_authenticate(user)
        return client

    return client_of


@pytest.fixture
def key():
    return lambda: {"HTTP_IDEMPOTENCY_KEY": uuid4().hex}
