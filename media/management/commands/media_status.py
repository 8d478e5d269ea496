"""manage.py media_status: how many files wait for the workers, and how many lack bytes."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from media.selectors import media_figures


class Command(BaseCommand):
    """Tell a monitor by its status; asks the database alone, so it may run every minute."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """How the figures are printed."""
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the figures; ends with status 1 when files are lost."""
        figures = media_figures(now=timezone.now())
        if options["json"]:
            self.stdout.write(json.dumps(figures))
        else:
            self.stdout.write(f"due      {figures['due']}, the longest for {figures['due_oldest_age_seconds']:.0f} s")
            self.stdout.write(f"at work  {figures['at_work']}")
            self.stdout.write(f"lost     {figures['lost']}, the first for {figures['lost_oldest_age_seconds']:.0f} s")
        if figures["lost"]:
            raise CommandError(
                f"{figures['lost']} files lack bytes: in the admin, filter media assets by *files missing since: not"
                " empty*; restore their folders of the store from a backup, then run verify_media."
            )
