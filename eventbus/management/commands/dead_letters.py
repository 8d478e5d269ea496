import getpass
import time
from argparse import ArgumentTypeError
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from eventbus import parking
from eventbus.exceptions import DecodeError
from eventbus.models import ParkedEvent

ACTIONS = ("list", "show", "retry", "edit", "discard")


class Command(BaseCommand):
    help = "List, show, retry, edit or discard dead letters; every change leaves an audit row."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=ACTIONS, nargs="?", default="list")
        parser.add_argument("ids", nargs="*", type=int, help="the dead letters' ids, as `list` shows them")
        parser.add_argument("--group", help="only this consumer group")
        parser.add_argument("--topic", help="only this topic")
        parser.add_argument("--error", help="only this error: its class, with or without its module")
        parser.add_argument("--parked-after", type=moment, help="only those parked since then: 2026-05-01T12:00+00:00")
        parser.add_argument("--parked-before", type=moment, help="only those parked before then")
        parser.add_argument("--all", action="store_true", help="with retry and discard: every one that matches")
        parser.add_argument("--limit", type=int, default=100, help="at most so many (%(default)s)")
        parser.add_argument("--per-second", type=float, default=50.0, help="so many a second (%(default)s)")
        parser.add_argument("--file", type=Path, help="with edit: the file that holds the new value")
        parser.add_argument("--reason", default="", help="why; required by edit and discard")
        parser.add_argument("--actor", default=getpass.getuser(), help="who does it (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        action = options["action"]
        if action in {"edit", "discard"} and not options["reason"]:
            raise CommandError(f"{action} needs --reason: it goes into the audit row")
        if options["per_second"] <= 0 or options["limit"] < 1:
            raise CommandError("--per-second must be above 0 and --limit at least 1; nothing was changed.")
        if action == "list":
            self._list(self._matching(options)[: options["limit"]])
        elif action == "show":
            for dead in self._chosen(options):
                self._show(dead)
        elif action == "edit":
            self._edit(options)
        elif action == "retry":
            self._retry(options)
        else:
            self._discard(options)

    def _matching(self, options: dict[str, Any]) -> QuerySet[ParkedEvent]:
        dead = ParkedEvent.objects.dead().order_by("id")
        if options["group"]:
            dead = dead.filter(group=options["group"])
        if options["topic"]:
            dead = dead.filter(topic=options["topic"])
        if options["error"]:
            dead = dead.filter(Q(error_class=options["error"]) | Q(error_class__endswith=f".{options['error']}"))
        if options["parked_after"]:
            dead = dead.filter(parked_at__gte=options["parked_after"])
        if options["parked_before"]:
            dead = dead.filter(parked_at__lt=options["parked_before"])
        return dead

    def _chosen(self, options: dict[str, Any]) -> list[ParkedEvent]:
        if options["ids"]:
            found = list(self._matching(options).filter(pk__in=options["ids"]))
            missing = sorted(set(options["ids"]) - {dead.pk for dead in found})
            if missing:
                raise CommandError(f"There is no dead letter {', '.join(map(str, missing))}; nothing was changed.")
            return found
        if not options["all"]:
            raise CommandError("Name the dead letters by id, or say --all.")
        return list(self._matching(options)[: options["limit"]])

    def _list(self, rows: QuerySet[ParkedEvent]) -> None:
        for dead in rows:
            place = f"{dead.topic}:{dead.partition}:{dead.offset}"
            self.stdout.write(f"{dead.pk:>8}  {dead.group:<28} {place:<40} {dead.error_class}: {dead.error[:80]}")
        if not rows:
            self.stdout.write("There is no dead letter.")

    def _show(self, dead: ParkedEvent) -> None:
        behind = ParkedEvent.objects.of_key(dead.group, dead.topic, dead.key).filter(state=ParkedEvent.State.QUEUED)
        self.stdout.write(f"id        {dead.pk}\ngroup     {dead.group}")
        self.stdout.write(f"place     {dead.topic}:{dead.partition}:{dead.offset}\nkey       {dead.key}")
        self.stdout.write(f"attempts  {dead.attempts}\nparked    {dead.parked_at}\nbehind    {behind.count()} events")
        self.stdout.write(f"value     {bytes(dead.payload or b'').decode('utf-8', 'backslashreplace')}")
        self.stdout.write(dead.traceback)

    def _edit(self, options: dict[str, Any]) -> None:
        if len(options["ids"]) != 1 or options["file"] is None:
            raise CommandError("edit takes one id and --file with the new value")
        [dead] = self._chosen(options)
        try:
            value = options["file"].read_bytes()
            parking.edit(dead, payload=value, actor=options["actor"], reason=options["reason"])
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be read: {error.strerror}") from error
        except DecodeError as error:
            raise CommandError(f"Nothing was changed: {error}") from error
        self.stdout.write("The new value will be tried at once.")

    def _retry(self, options: dict[str, Any]) -> None:
        chosen = self._chosen(options)
        said = {"actor": options["actor"], "reason": options["reason"]}
        parking.retry_all(chosen, per_second=options["per_second"], **said)
        lasts = f", the last in {len(chosen) / options['per_second']:.0f} s" if len(chosen) > 1 else ""
        self.stdout.write(f"retry: {len(chosen)} dead letters will be tried{lasts}.")

    def _discard(self, options: dict[str, Any]) -> None:
        chosen = self._chosen(options)
        for dead in chosen:
            parking.discard(dead, actor=options["actor"], reason=options["reason"])
            time.sleep(1 / options["per_second"])
        self.stdout.write(f"discard: {len(chosen)} dead letters.")


def moment(text: str) -> datetime:
    """A time on the command line; without an offset it is in the site's time zone."""
    parsed = parse_datetime(text)
    if parsed is None:
        raise ArgumentTypeError(f"{text!r} is no time like 2026-05-01T12:00 or 2026-05-01T12:00+02:00")
    return parsed if timezone.is_aware(parsed) else timezone.make_aware(parsed)
