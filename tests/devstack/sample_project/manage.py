"""Stands in for the project's manage.py: the same commands, no Django."""

import os
import signal
import sys
import time
from pathlib import Path

PLAN = "orders.placed 3\norders.paid 2\n"


def run_until_stopped() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        time.sleep(0.1)


def main() -> None:
    command, *arguments = sys.argv[1:]
    sys.stderr.write(f"{command} on {os.environ['DATABASE_URL']}\n")
    if Path(f"fail-{command}").exists():
        sys.exit(f"{command} was told to fail")
    if arguments == ["--plan"]:
        sys.stdout.write(PLAN)
    if command in {"relay_outbox", "run_consumers"} or Path(f"hang-{command}").exists():
        run_until_stopped()


main()
