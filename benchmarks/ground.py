"""What every benchmark stands on: a PostgreSQL that commits for good, a broker in its own process, Django."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import django
import psycopg
from django.conf import settings
from django.core.management import call_command
from django.test import override_settings

from devstack.kafka_apache import apache_kafka
from devstack.kafka_builtin import builtin_broker
from devstack.postgres import embedded_postgres

BrokerKind = Literal["builtin", "apache"]
PROJECT = Path(__file__).parents[1]
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")  # a commit that could be lost would be measured too fast


@contextmanager
def database() -> Iterator[None]:
    """A fresh server with the project's tables; Django is set up on it, and child processes inherit it."""
    with (
        TemporaryDirectory(prefix="tributary-benchmarks-") as directory,
        embedded_postgres(Path(directory) / "pg") as url,
    ):
        with psycopg.connect(url) as connection:
            values = {name: connection.execute(f"SHOW {name}").fetchone() for name in DURABLE}
        if set(values.values()) != {("on",)}:
            raise RuntimeError(f"this PostgreSQL does not keep what it commits: {values}")
        os.environ.update(DATABASE_URL=url, DJANGO_SETTINGS_MODULE="benchmarks.settings", LOG_LEVEL="WARNING")
        django.setup()
        call_command("migrate", run_syncdb=True, verbosity=0)
        try:
            yield
        finally:
            django.db.connections.close_all()


@contextmanager
def broker(kind: BrokerKind) -> Iterator[str]:
    """A broker with every topic of the bus; EVENTBUS and child processes are pointed at it."""
    from eventbus.kafka.admin import Cluster
    from eventbus.topics import sync_topics, topic_plans

    plans = {plan.name: plan.partitions for plan in topic_plans()}
    started = apache_kafka() if kind == "apache" else builtin_broker(plans)
    with started as running:
        address = running if isinstance(running, str) else running.brokers
        os.environ.update(KAFKA_BROKERS=address, KAFKA_FETCH_WAIT_MS="10")
        with override_settings(EVENTBUS={**settings.EVENTBUS, "brokers": address, "fetch_wait_ms": 10}):
            if kind == "apache":
                sync_topics(Cluster(), apply=True)
            yield address
