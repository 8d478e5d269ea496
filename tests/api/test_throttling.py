from concurrent.futures import ThreadPoolExecutor

import pytest
import time_machine
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from rest_framework.settings import api_settings
from rest_framework.test import APIClient

from api.throttling import Rate, ScopedThrottle, parse_rate, rates_of
from tests.accounts.factories import make_user

pytestmark = [pytest.mark.urls("tests.api.probe"), pytest.mark.django_db]

URL = "/api/v1/probe/plain"


@pytest.fixture(autouse=True)
def rates(monkeypatch):
    """PUT is the throttled method of the probe: three a minute, five an hour."""
    monkeypatch.setitem(api_settings.DEFAULT_THROTTLE_RATES, "probe", "5/hour,3/minute")


def put(client, **options):
    return client.put(URL, {}, **options).status_code


def test_each_window_has_its_limit_and_its_end(me):
    with time_machine.travel("2026-05-01T10:00:15Z", tick=False) as clock:
        assert [put(me) for _ in range(4)] == [200, 200, 200, 429]
        refused = me.put(URL, {})
        assert (refused.json()["code"], refused["Retry-After"]) == ("rate_limited", "45")

        clock.shift(45)
        assert [put(me) for _ in range(3)] == [200, 200, 429]
        assert me.put(URL, {})["Retry-After"] == str(59 * 60)


def test_other_methods_of_the_view_are_not_counted(me):
    assert [me.get(URL).status_code for _ in range(5)] == [200] * 5
    assert put(me) == 200


def test_everybody_is_counted_alone(me):
    other, stranger = APIClient(), APIClient()
    other.force_authenticate(make_user())
    with time_machine.travel("2026-05-01T10:00:15Z", tick=False):
        assert [put(me) for _ in range(4)][-1] == 429
        assert (put(other), put(stranger), put(stranger, REMOTE_ADDR="10.0.0.2")) == (200, 200, 200)


def test_a_header_does_not_make_somebody_else_of_a_stranger():
    stranger = APIClient()
    with time_machine.travel("2026-05-01T10:00:15Z", tick=False):
        statuses = [put(stranger, HTTP_X_FORWARDED_FOR=f"10.0.0.{number}") for number in range(4)]

    assert statuses == [200, 200, 200, 429]


def test_parallel_requests_do_not_slip_through_together():
    with time_machine.travel("2026-05-01T10:00:15Z", tick=False), ThreadPoolExecutor(8) as pool:
        allowed = list(pool.map(lambda _: ScopedThrottle().count("probe", "user:1"), range(24)))

    assert allowed.count(True) == 3
    cache.clear()


def test_rates_are_written_in_words_and_mistakes_are_named():
    assert rates_of("probe") == [Rate(3, 60), Rate(5, 3600)]
    with pytest.raises(ImproperlyConfigured, match="'3/fortnight' is not a rate"):
        parse_rate("3/fortnight")
    with pytest.raises(ImproperlyConfigured, match="no rate for the scope 'nothing'"):
        rates_of("nothing")


def test_every_rate_in_the_settings_can_be_read():
    assert all(rates_of(scope) for scope in api_settings.DEFAULT_THROTTLE_RATES)
