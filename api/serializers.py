"""Inputs that take exactly what they name, in exactly the type they say."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from api.money import Money

MAX_MINOR_UNITS = 10**15

# Controls, and the marks that make text run or look otherwise than it is stored; \n and \t are decided by the field.
FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 controls but tab and line feed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional controls
    "\u200b\u2028\u2029\u2060\ufeff\ufff9-\ufffb"  # invisible spaces, separators, annotations
    "\ud800-\udfff]"
)
LINE_BREAKS = re.compile("[\t\n]")


class ClosedSerializer(serializers.Serializer[Any]):
    """An input that refuses what it does not know: a misspelt or smuggled field is an error, not a silence."""

    def to_internal_value(self, data: Any) -> Any:
        """The validated values; every unknown name is reported beside the other errors."""
        unknown = self.unknown_errors(data)
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if isinstance(error.detail, dict):
                error.detail.update(unknown)
            raise
        if unknown:
            raise serializers.ValidationError(unknown)
        return value

    def unknown_errors(self, data: Any) -> dict[str, Any]:
        """One error for each name that no writable field has."""
        if not isinstance(data, Mapping):
            return {}
        known = {field.field_name for field in self._writable_fields}
        return {
            str(name): [serializers.ErrorDetail("unknown field", code="unknown_field")]
            for name in data
            if name not in known
        }


def accepted(serializer: type[serializers.Serializer[Any]], data: Any, **kwargs: Any) -> Any:
    """The validated input, in the form that the serializer gives it; raises DRF's ValidationError."""
    given = serializer(data=data, **kwargs)
    given.is_valid(raise_exception=True)
    return given.validated_data


class StrictIntegerField(serializers.IntegerField):
    """A JSON integer; no float, no string, no boolean."""

    def to_internal_value(self, data: Any) -> int:
        """The integer itself."""
        if type(data) is not int:
            self.fail("invalid")
        return data


class StrictBooleanField(serializers.BooleanField):
    """A JSON boolean; not one of the many words DRF takes for one."""

    def to_internal_value(self, data: Any) -> bool:
        """The boolean itself."""
        if type(data) is not bool:
            self.fail("invalid", input=data)
        return data


class AmountField(StrictIntegerField):
    """Minor units, zero or more; the service that takes the money decides the range."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("min_value", 0)
        kwargs.setdefault("max_value", MAX_MINOR_UNITS)
        super().__init__(**kwargs)


class CurrencyField(serializers.CharField):
    """Three upper-case letters; which of them are handled `api.money` decides with 422."""

    default_error_messages = {"form": "A currency is three upper-case letters of ISO 4217."}

    def to_internal_value(self, data: Any) -> str:
        """The code, in its form only."""
        if not isinstance(data, str) or not re.fullmatch("[A-Z]{3}", data):
            self.fail("form")
        return data


class MoneyField(serializers.Field[Money, Any, dict[str, Any] | None, Any]):
    """`{"amount": 1299, "currency": "USD"}`.

    Reads a Money, or with source="*" the two columns named by `amount` and `currency`; gives a Money.
    """

    default_error_messages = {
        "form": "Money is an object of amount and currency.",
        "amount": "The amount is a whole number of minor units, zero or more.",
        "currency": "A currency is three upper-case letters of ISO 4217.",
    }

    def __init__(self, *, amount: str = "amount", currency: str = "currency", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.amount_column = amount
        self.currency_column = currency

    def to_internal_value(self, data: Any) -> Money:
        """The money; an unknown currency is refused by Money itself with 422."""
        if not isinstance(data, dict) or set(data) != {"amount", "currency"}:
            self.fail("form")
        if type(data["amount"]) is not int or not 0 <= data["amount"] <= MAX_MINOR_UNITS:
            self.fail("amount")
        if not isinstance(data["currency"], str) or not re.fullmatch("[A-Z]{3}", data["currency"]):
            self.fail("currency")
        return Money(amount=data["amount"], currency=data["currency"])

    def to_representation(self, value: Any) -> dict[str, Any] | None:
        """The object, or null where no amount is set."""
        amount = getattr(value, self.amount_column)
        if amount is None:
            return None
        return {"amount": amount, "currency": getattr(value, self.currency_column)}


class MomentField(serializers.DateTimeField):
    """A moment, with its offset from UTC: without one it would be another moment in every country."""

    default_error_messages = {"naive": "Name the offset from UTC, as in 2030-01-31T09:00:00+01:00."}

    def enforce_timezone(self, value: Any) -> Any:
        """The moment in the platform's own time zone."""
        if value.tzinfo is None:
            self.fail("naive")
        return super().enforce_timezone(value)


class PlainTextField(serializers.CharField):
    """Text a person wrote: NFC, trimmed, no control or direction marks; one line unless `multiline`."""

    default_error_messages = {
        "forbidden": "Control and text-direction characters are not allowed.",
        "lines": "Only one line is allowed.",
    }

    def __init__(self, *, max_length: int, multiline: bool = False, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, **kwargs)
        self.multiline = multiline

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """Normalise before anything is measured; CharField would also take numbers for text."""
        if isinstance(data, str):
            data = unicodedata.normalize("NFC", data.replace("\r\n", "\n")).strip()
        elif data is not serializers.empty and data is not None:
            self.fail("invalid")
        return super().run_validation(data)

    def to_internal_value(self, data: Any) -> str:
        """The text, unless it holds what no person types."""
        if FORBIDDEN.search(data):
            self.fail("forbidden")
        if not self.multiline and LINE_BREAKS.search(data):
            self.fail("lines")
        return super().to_internal_value(data)
