"""What a request may take of the database's time."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import OperationalError, connection, transaction

from eventbus.exceptions import DomainError

CANCELED = "57014"  # PostgreSQL's query_canceled


@contextmanager
def bounded(longest: timedelta, *, otherwise: type[DomainError]) -> Iterator[None]:
    """Give each statement of the block so long; one that takes longer is canceled, and refused as said."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                milliseconds = longest // timedelta(milliseconds=1)
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(milliseconds)])
            yield
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) == CANCELED:
            raise otherwise from error
        raise
