"""A database that cannot write, as far as anybody who talks to it can tell."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

DISK_FULL, READ_ONLY, DEADLOCK, CANCELLED = "53100", "25006", "40P01", "57014"  # PostgreSQL's error codes


@contextmanager
def refusing(table: str, verb: str, code: str = DISK_FULL) -> Iterator[None]:
    """Every statement of this kind on the table ends with this error."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION refuse_it() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE EXCEPTION 'the database cannot write' USING ERRCODE = '{code}'; END $$"
        )
        cursor.execute(f"CREATE TRIGGER refuse_it BEFORE {verb} ON {table} EXECUTE FUNCTION refuse_it()")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION refuse_it CASCADE")
