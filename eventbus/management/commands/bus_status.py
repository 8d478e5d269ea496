import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from eventbus.status import bus_status


class Command(BaseCommand):
    help = "Show the outbox's backlog, the relays' leases, each group's lag, and parked and dead keys."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")

    def handle(self, *args: Any, **options: Any) -> None:
        status = bus_status()
        if options["json"]:
            self.stdout.write(json.dumps(status))
            return
        outbox = status["outbox"]
        self.stdout.write(
            f"outbox   {outbox['waiting']} waiting, the oldest for {outbox['oldest_age_seconds'] or 0:.1f} s"
        )
        for relay in status["relays"]:
            self.stdout.write(f"relay    {relay['host']} pid {relay['pid']}: buckets {relay['buckets']}")
        if not status["relays"]:
            self.stdout.write("relay    none is running")
        for worker in status["consumers"]:
            seen = f"seen {worker['seen_age_seconds']:.0f} s ago"
            self.stdout.write(f"consumer {worker['host']} pid {worker['pid']}: {worker['group']}, {seen}")
        for paused in status["paused_topics"]:
            self.stdout.write(f"paused   {paused['group']} {paused['topic']}: {paused['reason']}")
        for held in status["held_keys"]:
            self.stdout.write(f"held     {held['topic']} {held['key']}: {held['reason']}")
        self.stdout.write(f"kafka    {status['kafka']}")
        for lag in status["lag"]:
            self.stdout.write(f"lag      {lag['group']:<28} {lag['topic']:<28} {lag['lag']:>8} of {lag['end']}")
        for row in status["parked"]:
            self.stdout.write(
                f"parked   {row['group']:<28} {row['topic']:<28} {row['keys']} keys, {row['events']} events, "
                f"{row['retrying']} retrying, {row['dead']} dead"
            )
        if not status["parked"]:
            self.stdout.write("parked   nothing")
