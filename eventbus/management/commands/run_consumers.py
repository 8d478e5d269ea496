import signal
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventbus.collector import collect_rarely
from eventbus.conf import bus_settings
from eventbus.consumer import Consumer
from eventbus.exceptions import EventBusError
from eventbus.kafka.connection import check_connection_settings
from eventbus.supervisor import Supervisor, manage_command, when_orphaned
from eventbus.topics import topics_of


class Command(BaseCommand):
    help = (
        "Hand Kafka's events to the rooms' handlers, and to the journal when it is on: supervised processes for "
        "each, or this process for a single one."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("room", nargs="*", help="the rooms to consume for, or `journal`; all of them by default")
        parser.add_argument("--workers", type=int, default=1, help="processes for each room (%(default)s)")
        parser.add_argument("--worker", type=int, default=0, help="which of a room's processes this is: gives its port")
        parser.add_argument("--once", action="store_true", help="read every topic to its end, then exit")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            check_connection_settings()
            rooms = options["room"] or [reader for reader in bus_settings().readers if topics_of(reader)]
            for room in rooms:
                bus_settings().room(room)
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        workers = options["workers"]
        if workers < 1:
            raise CommandError("--workers must be at least 1")
        if workers > 1 and options["once"]:
            raise CommandError("--once reads with one process a room: leave --workers out")
        if workers > bus_settings().partitions:
            self.stderr.write(
                f"Of {workers} workers a room {workers - bus_settings().partitions} will have nothing to read: "
                f"a topic has KAFKA_PARTITIONS={bus_settings().partitions} partitions."
            )
        if len(rooms) == workers == 1:
            self._consume(rooms[0], worker=options["worker"], once=options["once"])
        else:
            self._supervise(commands_for(rooms, workers), once=options["once"])

    def _consume(self, room: str, *, worker: int, once: bool) -> None:
        try:
            consumer = Consumer(room, worker=worker)
            signal.signal(signal.SIGTERM, consumer.stop)
            signal.signal(signal.SIGINT, consumer.stop)
            when_orphaned(consumer.stop)
            if once:
                self.stdout.write(f"{room}: {consumer.drain()} messages.")
            else:
                collect_rarely()
                consumer.run()
        except EventBusError as error:
            raise CommandError(str(error)) from error

    def _supervise(self, commands: dict[str, list[str]], *, once: bool) -> None:
        flags = ["--once"] if once else []
        supervisor = Supervisor(
            {name: manage_command("run_consumers", *flags, *command) for name, command in commands.items()}
        )
        signal.signal(signal.SIGTERM, supervisor.stop)
        signal.signal(signal.SIGINT, supervisor.stop)
        if not once:
            supervisor.run()
        elif supervisor.run_once():
            raise CommandError("A room's consumer failed; its own message says why.")


def commands_for(rooms: list[str], workers: int) -> dict[str, list[str]]:
    """What each process is told, by its name; the room comes last, where a look at the running processes finds it."""
    commands = {room: [room] for room in rooms}
    for worker in range(1, workers):
        commands |= {f"{room} {worker + 1}": [f"--worker={worker}", room] for room in rooms}
    return commands
