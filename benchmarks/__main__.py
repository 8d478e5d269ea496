"""Measure the bus: `python -m benchmarks [NAME ...] [--quick]`."""

import argparse
import os
import sys
from importlib import import_module

from benchmarks.effort import FULL, QUICK, Effort
from benchmarks.ground import database
from devstack.exceptions import DevstackError
from eventbus.collector import collect_rarely

NAMES = (
    "relay",
    "peers",
    "consumer",
    "publish",
    "latency",
    "two_relays",
    "backlog",
    "memory",
    "images",
    "renewals",
    "access",
    "plans",
)


def effort_of(arguments: argparse.Namespace) -> Effort:
    """What the command line asks for."""
    if arguments.quick:
        return QUICK
    return Effort(rounds=arguments.rounds, scale=arguments.scale)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the event bus, ratio by ratio.")
    parser.add_argument("name", nargs="*", choices=[*NAMES, []], help="what to measure; everything by default")
    parser.add_argument("--quick", action="store_true", help="only see that each benchmark still works")
    parser.add_argument("--rounds", type=int, default=FULL.rounds, help="rounds of each variant (default %(default)s)")
    parser.add_argument("--scale", type=float, default=FULL.scale, help="part of the full size (default %(default)s)")
    arguments = parser.parse_args()
    effort = effort_of(arguments)
    try:
        with database():
            collect_rarely()  # as the commands do
            for name in arguments.name or NAMES:
                load = os.getloadavg()[0]
                import_module(f"benchmarks.{name}").run(effort).show(effort, load=load)
    except DevstackError as error:
        sys.exit(f"benchmarks: {error}")


if __name__ == "__main__":
    main()
