"""A creator's statement as CSV: what there was, each line that changed it, what there is."""

import csv
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from api.money import exponent_of

HEADER = ["time", "movement", "account", "payment_kind", "payment_id", "amount", "balance", "currency"]


class Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        """The text."""
        return text


def statement_lines(
    lines: Iterator[Mapping[str, Any]], *, opening: int, currency: str, start: datetime, end: datetime
) -> Iterator[str]:
    """The statement, a line of text at a time; amounts are decimals of the currency, balances run over all accounts."""
    writer = csv.writer(Echo())
    balance = opening

    def row(moment: datetime, *cells: object, amount: int | None = None) -> str:
        changed = "" if amount is None else in_units(amount, currency)
        written: str = writer.writerow([moment.isoformat(), *cells, changed, in_units(balance, currency), currency])
        return written

    yield writer.writerow(HEADER)
    yield row(start, "opening_balance", "", "", "")
    for line in lines:
        balance += line["amount"]
        about = (line["movement"], line["account_kind"], line["payment_kind"], line["payment_id"])
        yield row(line["created_at"], *about, amount=line["amount"])
    yield row(end, "closing_balance", "", "", "")


def in_units(amount: int, currency: str) -> str:
    """Minor units as a decimal of the currency: 1299 USD is 12.99."""
    digits = exponent_of(currency)
    return f"{Decimal(amount).scaleb(-digits):.{digits}f}"
