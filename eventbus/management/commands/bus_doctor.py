import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from eventbus.doctor import CHECKS, Severity, examine

NOTHING, RISKS, BROKEN = 0, 1, 2


class Command(BaseCommand):
    help = (
        "Examine settings, topics, database, relays and consumers; every finding says what to do. "
        "Exit status 0: nothing found, 1: risks, 2: something is broken."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of sentences")

    def handle(self, *args: Any, **options: Any) -> None:
        findings = examine()
        is_broken = any(finding.severity is Severity.BROKEN for finding in findings)
        status = BROKEN if is_broken else RISKS if findings else NOTHING
        if options["json"]:
            self.stdout.write(json.dumps({"status": status, "findings": [asdict(finding) for finding in findings]}))
        for finding in [] if options["json"] else findings:
            self.stdout.write(f"{finding.severity:<8}{finding.check:<14}{finding.what}")
            self.stdout.write(f"{'':<22}-> {finding.remedy}")
        if not findings and not options["json"]:
            self.stdout.write(f"All {len(CHECKS)} checks are well.")
        if status:
            sys.exit(status)
