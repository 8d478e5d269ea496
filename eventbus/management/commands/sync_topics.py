from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventbus.exceptions import TransportError
from eventbus.kafka.admin import Cluster
from eventbus.topics import sync_topics, topic_plans


class Command(BaseCommand):
    help = "Create, grow and configure the topics of all events; never shrinks or deletes one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="print the differences, change nothing")
        parser.add_argument(
            "--plan", action="store_true", help="print what each topic should be without asking a broker"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["plan"]:
            for plan in topic_plans():
                self.stdout.write(f"{plan.name} {plan}")
            return
        try:
            changes = sync_topics(Cluster(), apply=not options["dry_run"])
        except (ImproperlyConfigured, TransportError) as error:
            raise CommandError(str(error)) from error
        for change in changes:
            self.stdout.write(f"{change.topic}: {change.what}")
        if not changes:
            self.stdout.write(f"All {len(topic_plans())} topics are as planned.")
        if any(change.refused for change in changes):
            raise CommandError("Some topics differ in a way that only a person may change.")
