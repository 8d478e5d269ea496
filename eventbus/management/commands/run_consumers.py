import signal
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventbus.conf import bus_settings
from eventbus.consumer import Consumer
from eventbus.exceptions import EventBusError
from eventbus.kafka.connection import check_connection_settings
from eventbus.supervisor import Supervisor, manage_command, when_orphaned
from eventbus.topics import topics_of


class Command(BaseCommand):
    help = (
        "Hand Kafka's events to the rooms' handlers, and to the journal when it is on: one supervised process each, or "
        "this process for a single one."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("room", nargs="*", help="the rooms to consume for, or `journal`; all of them by default")
        parser.add_argument("--once", action="store_true", help="read every topic to its end, then exit")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            check_connection_settings()
            rooms = options["room"] or [reader for reader in bus_settings().readers if topics_of(reader)]
            for room in rooms:
                bus_settings().room(room)
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        if len(rooms) == 1:
            self._consume(rooms[0], once=options["once"])
        else:
            self._supervise(rooms, once=options["once"])

    def _consume(self, room: str, *, once: bool) -> None:
        try:
            consumer = Consumer(room)
            signal.signal(signal.SIGTERM, consumer.stop)
            signal.signal(signal.SIGINT, consumer.stop)
            when_orphaned(consumer.stop)
            if once:
                self.stdout.write(f"{room}: {consumer.drain()} messages.")
            else:
                consumer.run()
        except EventBusError as error:
            raise CommandError(str(error)) from error

    def _supervise(self, rooms: list[str], *, once: bool) -> None:
        flags = ["--once"] if once else []
        supervisor = Supervisor({room: manage_command("run_consumers", room, *flags) for room in rooms})
        signal.signal(signal.SIGTERM, supervisor.stop)
        signal.signal(signal.SIGINT, supervisor.stop)
        if not once:
            supervisor.run()
        elif supervisor.run_once():
            raise CommandError("A room's consumer failed; its own message says why.")
