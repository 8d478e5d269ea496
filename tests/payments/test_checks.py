"""What `manage.py check` says of settings that would fail at the first payment."""

import pytest
from django.core.checks import run_checks


def found():
    return [check.id for check in run_checks(include_deployment_checks=True) if check.id.startswith("payments.")]


def test_good_settings_pass():
    assert found() == []


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("ALLOW_SANDBOX_GATEWAY", False, "payments.E002"),
        ("PAYMENT_GATEWAY", "acme", "payments.E002"),
        ("TRIBUTARY_TOKEN_KEYS", [""], "payments.E003"),
        ("TRIBUTARY_FINGERPRINT_KEY", "", "payments.E003"),
    ],
)
def test_bad_settings_are_named(settings, name, value, code):
    setattr(settings, name, value)

    assert found() == [code]
