import signal
import threading
from argparse import ArgumentTypeError
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventbus.events import registered
from eventbus.exceptions import EventBusError
from eventbus.kafka.admin import Cluster
from eventbus.kafka.reading import tail
from eventbus.messages import Message, read
from eventbus.outbox import topic_of


def count(text: str) -> int:
    """A number of messages."""
    if not text.isdecimal() or int(text) == 0:
        raise ArgumentTypeError(f"{text!r} is no number of messages")
    return int(text)


class Command(BaseCommand):
    help = "Follow topics as messages come: joins no group, commits nothing. Payloads are shown only on request."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("topic", nargs="*", help="the topics to follow; those of all events by default")
        start = parser.add_mutually_exclusive_group()
        start.add_argument("--from-beginning", action="store_true", help="first everything that Kafka still holds")
        start.add_argument("--last", type=count, default=0, metavar="N", help="first each partition's last N messages")
        parser.add_argument("--key", action="append", default=[], help="only messages of this key; may be repeated")
        parser.add_argument("--type", action="append", default=[], help="only events of this type; may be repeated")
        parser.add_argument("--limit", type=count, metavar="N", help="end after so many messages")
        parser.add_argument("--payload", action="store_true", help="show values too: they hold people's data")

    def handle(self, *args: Any, **options: Any) -> None:
        for event_type in options["type"]:
            if event_type not in registered():
                raise CommandError(f"There is no event {event_type!r}; docs/events.md lists them.")
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        try:
            self._follow(self._topics(options), stop, options)
        except (EventBusError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error

    def _topics(self, options: dict[str, Any]) -> list[str]:
        known = Cluster().partitions()
        if not options["topic"]:
            return [topic for spec in registered().values() if (topic := topic_of(spec)) in known]
        for topic in options["topic"]:
            if topic not in known:
                raise CommandError(f"The broker has no topic {topic!r}; it has {', '.join(sorted(known))}.")
        return list(options["topic"])

    def _follow(self, topics: list[str], stop: threading.Event, options: dict[str, Any]) -> None:
        shown = 0
        for message in tail(topics, from_beginning=options["from_beginning"], last=options["last"], stop=stop.is_set):
            delivery = read(message)
            if options["key"] and delivery.key not in options["key"]:
                continue
            if options["type"] and delivery.event_type not in options["type"]:
                continue
            self.stdout.write(line_of(message, key=delivery.key, event_id=delivery.event_id))
            if options["payload"]:
                self.stdout.write(f"    {(message.value or b'').decode('utf-8', 'backslashreplace')}")
            self.stdout.flush()
            shown += 1
            if shown == options["limit"]:
                return


def line_of(message: Message, *, key: str, event_id: str) -> str:
    """Where a message stands, when it was sent, its key and its id."""
    sent = message.timestamp.isoformat(timespec="milliseconds") if message.timestamp else "no time"
    return f"{message.place:<44} {sent}  {key}  {event_id}"
