"""The calendar of subscriptions: when a period that starts now ends."""

from calendar import monthrange
from datetime import UTC, datetime

MONTHS = {"month": 1, "year": 12}


def anchor_day_of(start: datetime) -> int:
    """The day of the month on which periods turn over, in UTC."""
    return start.astimezone(UTC).day


def period_end(start: datetime, *, interval: str, interval_count: int, anchor_day: int) -> datetime:
    """The end of the period that starts at `start`.

    The anchor day holds across short months: 31 January, 28 February, 31 March. The time of day is kept, in UTC.
    """
    begin = start.astimezone(UTC)
    month_index = begin.year * 12 + (begin.month - 1) + MONTHS[interval] * interval_count
    year, month = divmod(month_index, 12)
    last_day = monthrange(year, month + 1)[1]
    return begin.replace(year=year, month=month + 1, day=min(anchor_day, last_day))
