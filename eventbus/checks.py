"""What `manage.py check --deploy` finds about the bus before an outage does."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Warning, register  # noqa: A004 - Django's word for it

from eventbus.conf import bus_settings

SAFE_REPLICAS = 3
SAFE_IN_SYNC = 2


@register(deploy=True)
def events_survive_the_loss_of_a_broker(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> Sequence[CheckMessage]:
    """An acknowledged event must be on more than one disk, and one broker less must not stop the relay."""
    settings = bus_settings()
    messages = []
    if settings.replication_factor < SAFE_REPLICAS:
        messages.append(
            Warning(
                f"KAFKA_REPLICATION_FACTOR is {settings.replication_factor}: events are lost with a broker's disk",
                hint="Set it to 3, on three brokers or more, before the first sync_topics: that moves no replicas.",
                id="eventbus.W001",
            )
        )
    elif not SAFE_IN_SYNC <= settings.min_insync_replicas < settings.replication_factor:
        messages.append(
            Warning(
                f"KAFKA_MIN_INSYNC_REPLICAS is {settings.min_insync_replicas}, with"
                f" {settings.replication_factor} replicas: with 1 an acknowledged event may be on one disk only, with"
                " all of them one broker that is away stops the relay",
                hint="Set it to 2 with three replicas.",
                id="eventbus.W002",
            )
        )
    return messages
