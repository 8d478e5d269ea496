"""django-jaiminho on the template's rows: keep-order strategy, rows deleted after sending, no signatures.

python with_django_jaiminho.py EVENTS: prints the seconds from the relay's start to the empty outbox.
"""

import json
import os
import sys
import time

import django
import environ
from django.conf import settings
from kafka_sender import send


def set_up() -> None:
    """Django with this one app."""
    settings.configure(
        INSTALLED_APPS=["jaiminho"],
        DATABASES={"default": environ.Env.db_url_config(os.environ["DATABASE_URL"])},
        SECRET_KEY="for-this-run-only",  # noqa: S106 - it protects nothing
        USE_TZ=True,
        LOGGING_CONFIG=None,
        JAIMINHO_CONFIG={
            "PUBLISH_STRATEGY": "keep-order",
            "DELETE_AFTER_SEND": True,
            "SIGN_EVENTS": False,
            "VERIFY_EVENTS_SIGNATURE": False,
            "DEFAULT_CAPTURE_EXCEPTION": None,
        },
    )
    django.setup()


def main(events: int) -> None:
    set_up()
    from django.core.management import call_command
    from django.db import connection, transaction
    from jaiminho.models import Event
    from jaiminho.relayer import EventRelayer
    from jaiminho.send import save_to_outbox

    call_command("migrate", verbosity=0)
    Event.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("SELECT topic, key, payload, headers FROM benchmark_template ORDER BY id LIMIT %s", [events])
        rows = cursor.fetchall()
    publish = save_to_outbox(send)
    with transaction.atomic():
        for topic, key, payload, headers in rows:
            publish(topic, key, bytes(payload), json.loads(headers))
    topic, key, payload, headers = rows[0]
    send(topic, key, bytes(payload), json.loads(headers))
    started = time.perf_counter()
    EventRelayer().relay()
    seconds = time.perf_counter() - started
    if Event.objects.exists():
        sys.exit("events are left")
    print(seconds)


if __name__ == "__main__":
    main(int(sys.argv[1]))
