import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventbus import operators
from eventbus.exceptions import DomainError
from eventbus.models import HeldKey


class Command(BaseCommand):
    help = "List held keys, hold one, release one, or skip its first event; every change leaves an audit row."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("list", "hold", "release", "skip"), nargs="?", default="list")
        parser.add_argument("topic", nargs="?", help="the whole topic, with KAFKA_TOPIC_PREFIX")
        parser.add_argument("key", nargs="?", help="the events' key, as `list` shows it")
        parser.add_argument("--reason", default="", help="why; required by hold and skip")
        parser.add_argument("--actor", default=getpass.getuser(), help="who does it (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        action, topic, key = options["action"], options["topic"], options["key"]
        if action == "list":
            self._list()
            return
        if not topic or not key:
            raise CommandError(f"{action} needs a topic and a key")
        if action in {"hold", "skip"} and not options["reason"]:
            raise CommandError(f"{action} needs --reason: it goes into the audit row")
        why = {"actor": options["actor"], "reason": options["reason"]}
        try:
            if action == "hold":
                operators.hold_key(topic=topic, key=key, **why)
            else:
                act = operators.release_key if action == "release" else operators.skip_event
                act(HeldKey.objects.get(topic=topic, key=key), **why)
        except HeldKey.DoesNotExist as error:
            raise CommandError(f"{topic} {key} is not held; nothing was changed.") from error
        except DomainError as error:
            raise CommandError(f"{error}; nothing was changed.") from error
        self.stdout.write(f"{action}: {topic} {key}")

    def _list(self) -> None:
        held = HeldKey.objects.order_by("held_at")
        for row in held:
            self.stdout.write(f"{row.topic:<32} {row.key:<40} {row.held_at:%Y-%m-%d %H:%M:%S} {row.reason}")
        if not held:
            self.stdout.write("No key is held.")
