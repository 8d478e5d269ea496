"""A statement's time is bounded inside the block, and nowhere after it."""

from datetime import timedelta

import pytest
from django.db import connection

from api.bounds import bounded
from eventbus.exceptions import DomainError


class TooSlowError(DomainError):
    """What the block is refused with."""

    code = "too_slow"


def ask(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


@pytest.mark.django_db(transaction=True)
def test_the_bound_ends_with_the_block():
    usual = ask("SHOW statement_timeout")
    with bounded(timedelta(milliseconds=50), otherwise=TooSlowError):
        inside = ask("SHOW statement_timeout")

    assert (usual, inside, ask("SHOW statement_timeout")) == ("0", "50ms", "0")


@pytest.mark.django_db(transaction=True)
def test_what_takes_longer_is_refused_and_the_connection_goes_on():
    with pytest.raises(TooSlowError), bounded(timedelta(milliseconds=50), otherwise=TooSlowError):
        ask("SELECT pg_sleep(5)")

    assert ask("SELECT 1 FROM pg_sleep(0.2)") == 1
