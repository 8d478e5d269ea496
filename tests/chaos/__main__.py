"""`python -m tests.chaos`: break everything for some minutes; exit 0 only if no effect is lost, doubled or inverted."""

import argparse
import random
import shutil
import sys
import time

from devstack.exceptions import DevstackError
from devstack.programs import PROJECT
from tests.chaos.faults import Fault
from tests.chaos.plan import draw
from tests.chaos.platform import Size, running
from tests.chaos.run import Report, run

DIRECTORY = PROJECT / "var" / "chaos"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="how long faults strike (3)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="the faults of an earlier run")
    options = parser.parse_args()
    seconds, size = options.minutes * 60, Size()
    again = f'make chaos ARGS="--seed={options.seed} --minutes={options.minutes:g}"'
    faults = draw(size, seed=options.seed, seconds=seconds)
    say(f"seed {options.seed}: {len(faults)} faults in {options.minutes:g} minutes; the same again: {again}")
    try:
        report = play(size, faults, seconds=seconds)
    except DevstackError as error:
        say(str(error))
        return 1
    print(f"\n{report.table()}")
    print("recovery: from the strike until all that was committed by then had taken effect in every group\n")
    print(f"{report.verdict}: {'exact' if report.is_good else 'WRONG'}")
    if not report.is_good:
        print(f"logs and data are in {DIRECTORY}; the same faults again: {again}")
    return 0 if report.is_good else 1


def play(size: Size, faults: list[Fault], *, seconds: float) -> Report:
    """On a fresh platform, whose logs and data stay for whoever wants to look."""
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    DIRECTORY.mkdir(parents=True)
    say(
        f"starting PostgreSQL, {size.brokers} brokers of Apache Kafka behind a proxy, {size.relays} relays, "
        f"{size.groups} groups of {size.consumers} consumers, {size.journals} for the journal, {size.writers} writers"
    )
    with running(DIRECTORY, size=size) as platform:
        return run(platform, faults, seconds=seconds, say=say)


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
