import signal
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventbus.collector import collect_rarely
from eventbus.exceptions import EventBusError
from eventbus.kafka.connection import check_connection_settings
from eventbus.relay import Relay


class Command(BaseCommand):
    help = "Publish the outbox to Kafka. Start as many as you like: they share the work without breaking key order."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="empty the outbox, then exit; fails if Kafka is away")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            check_connection_settings()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        relay = Relay()
        signal.signal(signal.SIGTERM, relay.stop)
        signal.signal(signal.SIGINT, relay.stop)
        if not options["once"]:
            collect_rarely()
            relay.run()
            return
        try:
            self.stdout.write(f"Published {relay.drain()} events.")
        except EventBusError as error:
            raise CommandError(f"{error} - what was not acknowledged is still in the outbox") from error
