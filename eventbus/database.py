"""When PostgreSQL itself cannot work, whoever asks: no fault of an event, a handler or a row."""

from datetime import datetime
from typing import cast

from django.db import DatabaseError, InterfaceError, OperationalError, connection

OUT_OF_SERVICE = (
    "53",  # insufficient resources: disk full, out of memory, too many connections
    "57P",  # shut down, crashed, starting up
    "58",  # the system below it: input and output errors
    "25006",  # read-only: the connection leads to a server that is no longer the primary
)
OF_THE_MOMENT = (
    "40",  # chosen against in a deadlock or a conflict
    "55P03",  # waited for a lock as long as `lock_timeout` lets
    "57014",  # cancelled, by `statement_timeout` or a person
)
LOCK_TIMEOUT = "55P03"


def is_out_of_service(error: BaseException) -> bool:
    """Whether this error says that the database cannot do now what anybody asks of it."""
    return isinstance(error, DatabaseError) and _state_of(error).startswith(OUT_OF_SERVICE)


def is_of_the_moment(error: BaseException) -> bool:
    """Whether the same statement may succeed when it is made again."""
    return isinstance(error, DatabaseError) and _state_of(error).startswith(OF_THE_MOMENT)


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone by itself: one that was ended for a handler's idleness has an InternalError."""
    is_of_connection = isinstance(error, OperationalError | InterfaceError)
    return is_of_connection and not connection.in_atomic_block and not connection.is_usable()


def is_lock_timeout(error: BaseException) -> bool:
    """Whether a statement waited for a lock for longer than it may."""
    return isinstance(error, DatabaseError) and _state_of(error) == LOCK_TIMEOUT


def database_time() -> datetime:
    """What the database's clock says, which times in its rows are held against: that of a host may be another."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        [now] = cursor.fetchone()
    return cast("datetime", now)


def replace_if_broken() -> None:
    """Let the next statement have a connection that works."""
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()


def _state_of(error: BaseException) -> str:
    state = getattr(error.__cause__, "sqlstate", None)
    return state if isinstance(state, str) else ""
