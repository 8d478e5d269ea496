"""Without Redis the platform serves on: rates are counted by each process, and work waits for its round."""

import logging
import socket
from contextlib import suppress

import pytest
import time_machine
from django.conf import settings
from django.core.cache import caches
from django.db import transaction
from django.test import override_settings
from kombu.exceptions import OperationalError
from rest_framework.settings import api_settings

from api import background
from api.background import Courier, after_commit
from api.counting import Counters
from devstack.ports import LOOPBACK, free_port
from tests.api.test_settings import PRODUCTION, run

URL = "/api/v1/probe/plain"
BOTH_TIME_OUT = """
import django; django.setup()
from django.core.cache import cache
from kombu.exceptions import OperationalError
from redis.exceptions import TimeoutError

import config.celery
from api.tasks import prune_idempotency_records

for ask, error in ((prune_idempotency_records.delay, OperationalError), (lambda: cache.get("key"), TimeoutError)):
    try:
        ask()
    except error as raised:
        print(raised)
"""


class SilentRedis:
    """Takes connections and answers nothing, as a host does whose answers are lost."""

    def __init__(self):
        self.socket = socket.create_server((LOOPBACK, 0))
        self.socket.setblocking(False)
        self.url = f"redis://{LOOPBACK}:{self.socket.getsockname()[1]}/0"

    def asked(self):
        """How many connections came since the last look."""
        count = 0
        with suppress(BlockingIOError):
            while True:
                self.socket.accept()[0].close()
                count += 1
        return count


@pytest.fixture
def silent_redis():
    silent = SilentRedis()
    yield silent
    silent.socket.close()


@pytest.fixture
def shared_cache(monkeypatch):
    """Puts the shared cache at an address, for processes that have not asked it yet."""
    monkeypatch.setattr("api.throttling.counters", Counters())

    def at(url):
        options = {"socket_connect_timeout": 0.2, "socket_timeout": 0.2}
        backend = "django.core.cache.backends.redis.RedisCache"
        shared = {"BACKEND": backend, "LOCATION": url, "OPTIONS": options}
        return override_settings(CACHES={**settings.CACHES, "default": shared})

    return at


@pytest.mark.urls("tests.api.probe")
@pytest.mark.parametrize("is_silent", [False, True])
def test_a_rate_is_a_rate_without_redis(me, monkeypatch, silent_redis, shared_cache, is_silent):
    monkeypatch.setitem(api_settings.DEFAULT_THROTTLE_RATES, "probe", "5/hour,3/minute")
    url = silent_redis.url if is_silent else f"redis://{LOOPBACK}:{free_port()}/0"

    with time_machine.travel("2026-05-01T10:00:15Z", tick=False), shared_cache(url):
        assert [me.put(URL, {}).status_code for _ in range(4)] == [200, 200, 200, 429]


def test_redis_is_asked_again_after_a_while(silent_redis, shared_cache, caplog):
    caplog.set_level(logging.WARNING, logger="api.counting")
    with shared_cache(silent_redis.url):
        counters = Counters()
        counted = [counters.add("key", seconds=60) for _ in range(3)]
        at_first = silent_redis.asked()
        counters.alone_until = 0.0
        counted.append(counters.read("key"))

    assert (counted, at_first, silent_redis.asked()) == ([1, 2, 3, 3], 1, 1)
    assert [record.name for record in caplog.records] == ["api.counting"] * 2


def test_the_counters_of_all_processes_are_the_same_while_redis_is_there():
    Counters().add("key", seconds=60)

    assert Counters().add("key", seconds=60) == 2
    assert caches["own"].get("key") is None


def test_no_message_goes_to_a_broker_that_is_away_until_a_while_later(caplog):
    caplog.set_level(logging.WARNING, logger="api.background")
    courier, tried = Courier(), []

    def refused():
        tried.append("refused")
        raise OperationalError("away")

    courier.take(refused)
    courier.take(refused)
    courier.stays_until = 0.0
    courier.take(lambda: tried.append("sent"))
    courier.take(lambda: tried.append("sent"))

    assert tried == ["refused", "sent", "sent"]
    assert [record.name for record in caplog.records] == ["api.background"]


@pytest.mark.django_db(transaction=True)
def test_a_message_is_sent_after_the_commit_and_its_failure_is_nobodys(monkeypatch):
    monkeypatch.setattr(background, "courier", Courier())
    sent = []

    def refused():
        raise OperationalError("away")

    with transaction.atomic():
        after_commit(lambda: sent.append("message"))
        assert sent == []
    with transaction.atomic():
        after_commit(refused)
        after_commit(lambda: sent.append("never"))

    assert sent == ["message"]


def test_production_waits_for_no_redis_that_is_silent(silent_redis):
    result = run("-c", BOTH_TIME_OUT, **{**PRODUCTION, "CELERY_BROKER_URL": silent_redis.url})

    assert (result.stdout.splitlines(), result.returncode) == (["Timeout reading from socket"] * 2, 0), result.stderr


@pytest.mark.django_db
def test_a_process_without_the_shared_cache_is_ready_and_says_so(client, silent_redis, shared_cache):
    with shared_cache(silent_redis.url):
        response = client.get("/readyz")

    assert (response.status_code, response.json()) == (
        200,
        {"status": "degraded", "database": "ok", "cache": "TimeoutError"},
    )
