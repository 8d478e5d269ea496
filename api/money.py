"""Money as the API speaks it: integer minor units and an ISO 4217 code from a list."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from django.conf import settings

from api.exceptions import AmountOutOfRangeError, CurrencyNotSupportedError

# ISO 4217: how many decimals the minor unit of each accepted currency stands for.
EXPONENTS: Mapping[str, int] = MappingProxyType(
    {
        "AUD": 2,
        "BHD": 3,
        "BRL": 2,
        "CAD": 2,
        "CHF": 2,
        "CLP": 0,
        "CZK": 2,
        "DKK": 2,
        "EUR": 2,
        "GBP": 2,
        "HKD": 2,
        "HUF": 2,
        "INR": 2,
        "JPY": 0,
        "KRW": 0,
        "KWD": 3,
        "MXN": 2,
        "NOK": 2,
        "NZD": 2,
        "PLN": 2,
        "RON": 2,
        "SEK": 2,
        "SGD": 2,
        "TND": 3,
        "USD": 2,
        "ZAR": 2,
    }
)
CURRENCY_CHOICES = [(code, code) for code in EXPONENTS]


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units; it cannot exist in a currency we do not handle."""

    amount: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.amount) is not int:
            raise TypeError("Money counts whole minor units")
        require_currency(self.currency)


@dataclass(frozen=True, slots=True)
class Limits:
    """The smallest and the largest amount accepted at once, both included, in minor units."""

    minimum: int
    maximum: int


def require_currency(currency: str) -> str:
    """The currency, refused unless it is one of ours in upper case."""
    if currency not in EXPONENTS:
        raise CurrencyNotSupportedError(f"{currency!r} is not one of the supported currencies")
    return currency


def limits_of(currency: str) -> Limits:
    """What is accepted in this currency, from the setting MONEY_LIMITS or its default."""
    named: dict[str, tuple[int, int]] = settings.MONEY_LIMITS
    return Limits(*named.get(require_currency(currency), named["default"]))


def require_in_range(*, amount: int, currency: str) -> Money:
    """The money, refused when a payment of it would be too small or too large."""
    limits = limits_of(currency)
    if not limits.minimum <= amount <= limits.maximum:
        raise AmountOutOfRangeError(
            f"The amount must be between {limits.minimum} and {limits.maximum} minor units of {currency}"
        )
    return Money(amount=amount, currency=currency)


def exponent_of(currency: str) -> int:
    """How many decimals the currency has."""
    return EXPONENTS[require_currency(currency)]


def shown_money(amount: int | None, currency: str | None) -> str:
    """Minor units as people read them: 1299 USD is 12.99 USD."""
    if amount is None:
        return "-"
    if currency is None or currency not in EXPONENTS:
        return f"{amount} minor units {currency or ''}".strip()
    digits = EXPONENTS[currency]
    return f"{Decimal(amount).scaleb(-digits):.{digits}f} {currency}"
