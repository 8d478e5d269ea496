"""manage.py media_status: how many files wait for the workers, and how many lack bytes."""

import json
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from media.selectors import media_figures

LONGEST_WITHOUT_LOOK = timedelta(days=2)  # a look begins every day


class Command(BaseCommand):
    """Tell a monitor by its status; asks the database alone, so it may run every minute."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """How the figures are printed."""
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the figures; ends with status 1 when files are lost, or nobody has looked for too long."""
        figures = media_figures(now=timezone.now())
        if options["json"]:
            self.stdout.write(json.dumps(figures, cls=DjangoJSONEncoder))
        else:
            self.stdout.write(f"due      {figures['due']}, the longest for {figures['due_oldest_age_seconds']:.0f} s")
            self.stdout.write(f"at work  {figures['at_work']}")
            self.stdout.write(f"lost     {figures['lost']}, the first for {figures['lost_oldest_age_seconds']:.0f} s")
            self.stdout.write(f"looked   {figures['last_look_at'] or 'never'}")
        if figures["lost"]:
            raise CommandError(
                f"{figures['lost']} files lack bytes: in the admin, filter media assets by *files missing since: not"
                " empty*; restore their folders of the store from a backup, then run verify_media."
            )
        if figures["unverified_seconds"] > LONGEST_WITHOUT_LOOK.total_seconds():
            raise CommandError(
                f"nobody has looked for lost files for {figures['unverified_seconds']:.0f} s: see that beat and a"
                " worker for the queue `celery` run; verify_media looks at once."
            )
