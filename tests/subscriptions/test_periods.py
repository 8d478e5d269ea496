"""The calendar: the anchor day holds, periods meet and never overlap."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriptions.periods import anchor_day_of, period_end


def day(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "interval", "interval_count", "anchor_day", "end"),
    [
        ("2031-01-31", "month", 1, 31, "2031-02-28"),
        ("2031-02-28", "month", 1, 31, "2031-03-31"),
        ("2032-01-31", "month", 1, 31, "2032-02-29"),
        ("2031-11-30", "month", 3, 30, "2032-02-29"),
        ("2031-12-15", "month", 1, 15, "2032-01-15"),
        ("2032-02-29", "year", 1, 29, "2033-02-28"),
        ("2035-02-28", "year", 1, 29, "2036-02-29"),
        ("2031-06-01", "month", 12, 1, "2032-06-01"),
    ],
)
def test_known_dates(start, interval, interval_count, anchor_day, end):
    found = period_end(day(start), interval=interval, interval_count=interval_count, anchor_day=anchor_day)
    assert found == day(end)


def test_the_day_is_the_one_in_utc():
    new_year_in_kiribati = datetime(2032, 1, 1, 3, 0, tzinfo=timezone(timedelta(hours=14)))
    assert anchor_day_of(new_year_in_kiribati) == 31


@given(
    start=st.datetimes(max_value=datetime.fromisoformat("2100-01-01"), min_value=datetime.fromisoformat("2000-01-01")),
    interval=st.sampled_from(["month", "year"]),
    interval_count=st.integers(1, 12),
)
def test_periods_meet_and_the_anchor_day_comes_back(start, interval, interval_count):
    begin = start.replace(tzinfo=UTC)
    anchor = anchor_day_of(begin)
    for _ in range(13):
        end = period_end(begin, interval=interval, interval_count=interval_count, anchor_day=anchor)
        following_day = end + timedelta(days=1)
        assert end > begin
        assert end.day == anchor or (end.day < anchor and following_day.month != end.month)
        assert end.timetz() == begin.timetz()
        begin = end


@given(
    start=st.datetimes(max_value=datetime.fromisoformat("2100-01-01"), min_value=datetime.fromisoformat("2000-01-01")),
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]),
    interval=st.sampled_from(["month", "year"]),
    interval_count=st.integers(1, 12),
)
def test_clocks_that_are_put_forward_or_back_move_no_period(start, zone, interval, interval_count):
    in_utc = start.replace(tzinfo=UTC)
    at_home = in_utc.astimezone(ZoneInfo(zone))
    anchor = anchor_day_of(at_home)

    assert anchor == anchor_day_of(in_utc)
    assert period_end(at_home, interval=interval, interval_count=interval_count, anchor_day=anchor) == period_end(
        in_utc, interval=interval, interval_count=interval_count, anchor_day=anchor
    )


@given(
    start=st.datetimes(max_value=datetime.fromisoformat("2090-01-01"), min_value=datetime.fromisoformat("2000-01-01"))
)
def test_twelve_months_are_a_year_and_four_years_come_back_to_the_day(start):
    begin = start.replace(tzinfo=UTC)
    anchor, end = anchor_day_of(begin), begin
    for _ in range(12):
        end = period_end(end, interval="month", interval_count=1, anchor_day=anchor)

    assert end == period_end(begin, interval="year", interval_count=1, anchor_day=anchor)
    for _ in range(3):
        end = period_end(end, interval="year", interval_count=1, anchor_day=anchor)
    assert end.day == anchor
    assert (end.month, end.timetz()) == (begin.month, begin.timetz())
