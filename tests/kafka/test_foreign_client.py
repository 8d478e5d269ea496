"""A plain Kafka client in another language reads our events unchanged, and we read its."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from eventbus.conf import bus_settings
from eventbus.consumer import Consumer
from eventbus.kafka.admin import Cluster
from eventbus.models import InboxEvent, ParkedEvent
from eventbus.relay import Relay
from eventbus.topics import sync_topics
from subscriptions.models.subscriptions import Subscription
from tests.subscriptions.factories import choose, make_creator, make_tier, make_user

pytestmark = [pytest.mark.django_db(transaction=True)]

FOLDER = Path(__file__).parent / "kafkajs"
ROOMS = django_settings.EVENTBUS["rooms"]


@pytest.fixture
def kafkajs() -> Path:
    """The folder of the script, its client installed by `make tools`."""
    if not (FOLDER / "node_modules" / "kafkajs").is_dir():
        reason = "kafkajs is not installed: install Node.js with npm, then `make tools`"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return FOLDER


def test_a_service_of_another_team_is_told_of_a_subscription_and_pays_it(broker: str, bus: Any, kafkajs: Path) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "rooms": ROOMS}
    if broker == "apache":
        sync_topics(Cluster(), apply=True)
    fan = make_user()
    subscription = choose(make_tier(make_creator()), fan)
    Relay().drain()

    command = ["node", "pay.js", bus_settings().brokers, bus_settings().topic_prefix]
    result = subprocess.run(command, check=False, cwd=kafkajs, capture_output=True, text=True, timeout=90)
    assert result.returncode == 0, result.stderr
    read = json.loads(result.stdout)
    Consumer("subscriptions").drain()

    subscription.refresh_from_db()
    assert read["key"] == read["subscriptionId"] == str(subscription.id)
    assert (read["subscriberId"], read["version"]) == (str(fan.id), "1.0")
    assert {"creatorId", "tierId", "startDate"} <= read.keys()
    assert subscription.status == Subscription.Status.ACTIVE
    assert not ParkedEvent.objects.exists()
    assert InboxEvent.objects.filter(group="subscription-consumer-group").count() == 1
