"""manage.py verify_ledger: prove that the books are right, or name the first row that is not."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from payments.services.verification import RULES, first_fault


class Command(BaseCommand):
    """Hold payments, refunds and disputes against their entries; ends with status 1 at the first wrong row."""

    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        """Look, and say what was found."""
        fault = first_fault()
        if fault is not None:
            raise CommandError(f"Not so: {fault.rule}. First wrong row: {fault.row} ({fault.detail})")
        self.stdout.write(f"The books are right: {len(RULES)} rules hold.")
