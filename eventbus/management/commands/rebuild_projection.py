import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventbus.exceptions import EventBusError
from eventbus.rebuild.projections import projections
from eventbus.rebuild.rebuilding import Outcome, compare, rebuild

MOST_SHOWN = 50


class Command(BaseCommand):
    help = "Build a room's projection anew from the journal: first only the difference is shown, --apply writes it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("room", help="the room that keeps it")
        parser.add_argument("projection", help="its name, as the room's handlers.py declares it")
        parser.add_argument("--apply", action="store_true", help="write the difference, rather than show it")
        parser.add_argument("--reason", default="", help="why; required by --apply")
        parser.add_argument("--actor", default=getpass.getuser(), help="who does it (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        declared = projections().get((options["room"], options["projection"]))
        if declared is None:
            known = ", ".join(f"{room} {name}" for room, name in sorted(projections()))
            raise CommandError(
                f"There is no projection {options['room']} {options['projection']}; there are: {known or 'none'}."
            )
        if options["apply"] and not options["reason"].strip():
            raise CommandError("Say --reason: it goes into the audit row.")
        try:
            if options["apply"]:
                self._tell(rebuild(declared, actor=options["actor"], reason=options["reason"]), "were written")
            else:
                self._tell(compare(declared), "differ; nothing was done, --apply writes them")
        except EventBusError as error:
            raise CommandError(str(error)) from error

    def _tell(self, outcome: Outcome, done: str) -> None:
        for difference in outcome.differences[:MOST_SHOWN]:
            self.stdout.write(str(difference))
        if len(outcome.differences) > MOST_SHOWN:
            self.stdout.write(f"and {len(outcome.differences) - MOST_SHOWN} more")
        self.stdout.write(f"{outcome.retold} histories retold, {len(outcome.differences)} {done}.")
        if outcome.begun_before:
            self.stdout.write(f"{outcome.begun_before} began before the journal and were left as they are.")
        for identity, reason in list(outcome.failed.items())[:MOST_SHOWN]:
            self.stdout.write(f"{identity} was left as it is, its history cannot be retold: {reason}")
