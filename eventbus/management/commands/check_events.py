from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventbus.catalog.checks import compare, write
from eventbus.catalog.entries import platform_entries


class Command(BaseCommand):
    help = "Compare the events with their committed schemas, samples and documents; refuse what would break a reader."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--write", action="store_true", help="write what differs, unless something is refused")
        parser.add_argument(
            "--docs", type=Path, default=Path(settings.BASE_DIR) / "docs", help="the folder of the committed files"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        entries = platform_entries()
        comparison = compare(options["docs"], entries)
        shown = comparison.refused if options["write"] else comparison.findings
        for finding in shown:
            self.stderr.write(finding.text)
        if shown:
            outcome = "nothing was written" if options["write"] else f"{len(comparison.refused)} of them refused"
            raise CommandError(f"{len(shown)} differences between the events and {options['docs']}: {outcome}.")
        for file in write(comparison) if options["write"] else []:
            self.stdout.write(f"wrote {file.relative_to(options['docs'])}")
        self.stdout.write(f"All {len(entries)} events are as their schemas say.")
