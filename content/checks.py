"""What `manage.py check` must find in the settings before readers report posts."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register()
def somebody_must_report_before_a_post_is_flagged(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """A threshold of none would flag what nobody reported; a negative age says nothing."""
    errors: list[CheckMessage] = []
    if settings.REPORTS_TO_FLAG < 1:
        errors.append(Error("TRIBUTARY_REPORTS_TO_FLAG is a number of readers: 1 or more", id="content.E001"))
    if settings.REPORTER_AGE_DAYS < 0:
        errors.append(Error("TRIBUTARY_REPORTER_AGE_DAYS is a number of days: 0 or more", id="content.E002"))
    return errors
