"""Many running subscriptions at once, written by the database itself."""

from datetime import datetime
from uuid import UUID

from django.db import connection

from subscriptions.models.subscriptions import Subscription

COLUMNS = [field.column for field in Subscription._meta.concrete_fields]
OWN = {
    "id": "gen_random_uuid()",
    "subscriber_id": "gen_random_uuid()",
    "next_action_at": "%(due)s::timestamptz + number * interval '1 millisecond'",
}


def copy_of(subscription: Subscription, *, count: int, due: datetime) -> None:
    """So many subscriptions like this one, each of another fan, due one after the other from that moment on."""
    chosen = ", ".join(OWN.get(column, f'"{column}"') for column in COLUMNS)
    names = ", ".join(f'"{column}"' for column in COLUMNS)
    table = Subscription._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({names}) SELECT {chosen} FROM {table}, generate_series(1, %(count)s) number "  # noqa: S608 - names from the model
            "WHERE id = %(model)s",
            {"due": due, "count": count, "model": UUID(str(subscription.pk))},
        )
        cursor.execute(f"ANALYZE {table}")
