"""manage.py verify_media: hold every file against the store, and name those whose bytes are lost."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from media.services.verification import verify_all


class Command(BaseCommand):
    """Mark files that lack bytes, remove bytes that no row names; ends with status 1 when something is lost."""

    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        """Look at everything, and say what was found."""
        report = verify_all()
        self.stdout.write(f"{report.files} files looked at, {report.removed} left-over objects removed.")
        for finding in report.lost:
            self.stderr.write(f"{finding.media_id} lacks {', '.join(finding.missing)}")
        if report.lost:
            raise CommandError(f"{len(report.lost)} files lack bytes; restore them from a backup, then look again.")
