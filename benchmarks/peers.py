"""The relay against published Python outboxes: same rows, database and broker, each tuned as its documentation says."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import backlog_rows
from benchmarks.effort import Effort
from benchmarks.events import Counted
from benchmarks.ground import PROJECT, broker
from benchmarks.report import Bar, Report
from benchmarks.rounds import by_turns, ratio
from benchmarks.running import drain_outbox, ready_relay
from eventbus.outbox import topic_of

LOCK = Path(__file__).with_name("requirements-peers.lock")
PROGRAMS = Path(__file__).with_name("peer_programs")
PEERS = {"faststream-outbox": 5000, "txoutbox": 5000, "django-jaiminho": 1000}  # events enough to show their pace
RELAY = "relay"
EVENTS = 40_000
TIMES_BEST = 20.0
PATIENCE_SECONDS = 300.0


def run(effort: Effort) -> Report:
    """Real Kafka, the relay and every peer."""
    python = installed()
    events = effort.count(EVENTS, least=2000)
    backlog_rows.make_template(events)
    with broker("apache"), ready_relay() as relay:
        drain_outbox(relay, events)
        variants = {RELAY: lambda: drain_outbox(relay, events)}
        for peer, wanted in PEERS.items():
            variants[peer] = partial(drain_peer, python, peer, effort.count(wanted, least=200))
        figures = by_turns(variants, rounds=effort.rounds)
    report = Report(
        "peers", "events/s from a filled outbox to the broker, real Kafka", ["outbox", "events/s", "relay / it"]
    )
    report.rows = [[name, median(rates), ratio(figures, RELAY, name)] for name, rates in figures.items()]
    best = max(PEERS, key=lambda peer: median(figures[peer]))
    report.bars.append(Bar(f"relay / {best}, the best of them", ratio(figures, RELAY, best), TIMES_BEST, ">="))
    return report


def drain_peer(python: Path, peer: str, events: int) -> float:
    """Events per second of one peer, in a process of its own, from its relay's start to its empty table."""
    program = PROGRAMS / f"with_{peer.replace('-', '_')}.py"
    result = subprocess.run(  # noqa: S603 - our own program
        [python, program, str(events)],
        env={**os.environ, "TOPIC": topic_of(Counted.spec)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    if result.returncode:
        raise RuntimeError(f"{peer} failed:\n{result.stderr}")
    return events / float(result.stdout)


def installed() -> Path:
    """The Python of the environment that holds the peers; it is made, or made anew when the lock file has changed."""
    environment = PROJECT / "var" / "peers"
    python, mark = environment / "bin" / "python", environment / "installed.lock"
    if mark.exists() and mark.read_bytes() == LOCK.read_bytes():
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)  # noqa: S603 - our own
    flags = ("--quiet", "--disable-pip-version-check", "--require-hashes")
    subprocess.run([python, "-m", "pip", "install", *flags, "-r", LOCK], check=True)  # noqa: S603 - our own
    mark.write_bytes(LOCK.read_bytes())
    return python
