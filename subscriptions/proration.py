"""What is left of a paid period, in money."""

from datetime import datetime, timedelta

MICROSECOND = timedelta(microseconds=1)


def unused_part(amount: int, *, start: datetime, end: datetime, at: datetime) -> int:
    """The share of the amount that pays the time from `at` to the end of its period, rounded down.

    Whole microseconds and whole minor units: no float, so the parts of a period never add up to more than its price.
    """
    length = (end - start) // MICROSECOND
    unused = (end - min(max(at, start), end)) // MICROSECOND
    return amount * unused // length
