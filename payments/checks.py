"""What `manage.py check` must find in the settings before somebody pays."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

from payments.encryption import cipher, fingerprint
from payments.gateways.registry import current_gateway

LAST_RETRY_DAY = 21  # a billing request ends a day later


@register()
def retries_come_one_after_another(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Days out of order, none, or after the billing request's end would try a card twice at once or never."""
    days = settings.DUNNING_DAYS
    if days and days[0] > 0 and days == sorted(set(days)) and days[-1] <= LAST_RETRY_DAY:
        return []
    rule = f"DUNNING_DAYS is days after the first decline, each later than the last and none after {LAST_RETRY_DAY}"
    return [Error(rule, id="payments.E004")]


@register(deploy=True)
def the_gateway_may_be_used(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A gateway that refuses to load would do so at the first payment."""
    try:
        current_gateway()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="payments.E002")]
    return []


@register(deploy=True)
def tokens_can_be_stored(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Missing keys would show at the first card."""
    try:
        cipher()
        fingerprint("")
    except ImproperlyConfigured as error:
        return [Error(str(error), id="payments.E003")]
    return []
