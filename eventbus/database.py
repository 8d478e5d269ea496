"""When PostgreSQL itself cannot work, whoever asks: no fault of an event, a handler or a row."""

from django.db import DatabaseError

OUT_OF_SERVICE = (
    "53",  # insufficient resources: disk full, out of memory, too many connections
    "57P",  # shut down, crashed, starting up
    "58",  # the system below it: input and output errors
    "25006",  # read-only: the connection leads to a server that is no longer the primary
)


def is_out_of_service(error: BaseException) -> bool:
    """Whether this error says that the database cannot do now what anybody asks of it."""
    state = getattr(error.__cause__, "sqlstate", None)
    return isinstance(error, DatabaseError) and isinstance(state, str) and state.startswith(OUT_OF_SERVICE)
