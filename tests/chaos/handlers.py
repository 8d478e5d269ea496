from django.db import connection

from eventbus.conf import bus_settings
from eventbus.handlers import handles
from tests.chaos.events import Counted


@handles(Counted)
def take_effect(counted: Counted) -> None:
    """Add a row; nothing in the table keeps a second one out, so that it would be seen."""
    with connection.cursor() as cursor:
        cursor.execute(
            'INSERT INTO chaos_effect ("group", counter_id, number) VALUES (%s, %s, %s)',
            [bus_settings().room("tests").group_id, counted.counter_id, counted.number],
        )
