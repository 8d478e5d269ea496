"""`python -m devstack demo`: start the whole platform, play the story on it, and say what was seen."""

import argparse
import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import django

from devstack.demo.story import Story
from devstack.output import Output
from devstack.programs import PROJECT
from devstack.stack import Stack

if TYPE_CHECKING:
    from devstack.demo.watcher import Watcher

ADMIN = "admin@example.com"
QUIET_SECONDS = 15.0


def add_demo_options(command: argparse.ArgumentParser) -> None:
    """What `demo` can be told."""
    command.add_argument("--kafka", choices=("builtin", "apache"), default="builtin", help="the broker to start")
    command.add_argument("--stay", action="store_true", help="keep everything running afterwards, until Ctrl-C")
    command.add_argument("--verbose", action="store_true", help="show every process's log lines too")


def demo(arguments: argparse.Namespace) -> int:
    """Play the story in a fresh directory on free ports; the exit status is 0 only if every effect was seen."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a demo that is told to end cleans up too
    output = Output(sys.stdout)
    started_at = time.monotonic()
    os.environ["MEDIA_ORPHAN_GRACE_SECONDS"] = "0"  # deleted posts lose their media at once, not after a week
    with TemporaryDirectory(prefix="tributary-demo-") as directory:
        output.write("demo", "starting PostgreSQL, Kafka, web, relay, consumers, worker and beat")
        stack = Stack(
            directory=Path(directory),
            kafka=arguments.kafka,
            free_ports=True,
            database_url=os.environ.get("DATABASE_URL", ""),
            brokers=os.environ.get("KAFKA_BROKERS", ""),
            output=output if arguments.verbose else None,
        )
        with stack:
            output.write("demo", f"ready after {time.monotonic() - started_at:.1f} s at {stack.base_url}")
            status = play(stack, output)
            if arguments.stay:
                stay(stack, output)
            else:
                output.write("try", "make demo ARGS=--stay          the same, left running, with log-ins")
                output.write("try", "make demo ARGS=--kafka=apache  the same on Apache Kafka")
    return status


def play(stack: Stack, output: Output) -> int:
    """The story with the watcher beside it, then the summary."""
    os.environ.update(stack.env)
    django.setup()
    logging.getLogger("httpx").setLevel(logging.WARNING)  # one line a request would drown the story
    from devstack.demo.watcher import Watcher, wait_until_quiet  # needs Django's settings

    watcher = Watcher(output)
    watcher.start()
    story = Story(stack.base_url, output)
    try:
        story.play()
        is_quiet = wait_until_quiet(watcher, seconds=QUIET_SECONDS)
    finally:
        watcher.stop()
        for person in story.people.values():
            person.close()
    if not is_quiet:
        story.missing += watcher.unhandled()
    return summary(story, watcher, output)


def summary(story: Story, watcher: "Watcher", output: Output) -> int:
    """Print what was seen; 1 when anything is missing."""
    from devstack.demo.watcher import percentile
    from eventbus.events import registered

    counted = watcher.topics()
    for topic in sorted(registered()):
        output.write("summary", f"{topic:<28} {counted[topic]:>3}")
        if not counted[topic]:
            story.missing.append(f"no {topic} was seen")
    times = watcher.latencies()
    output.write(
        "summary",
        f"{sum(counted.values())} events, {len(times)} effects; from the event to its effect's commit: "
        f"p50 {percentile(times, 0.5):.0f} ms, p99 {percentile(times, 0.99):.0f} ms",
    )
    output.write("summary", f"{len(story.seen)} expectations met, {len(story.missing)} missing")
    for what in story.missing:
        output.write("summary", f"MISSING: {what}")
    return 1 if story.missing else 0


def stay(stack: Stack, output: Output) -> None:
    """Keep the platform up and say how to use it."""
    password = secrets.token_urlsafe(9)
    subprocess.run(
        [sys.executable, "manage.py", "createsuperuser", "--no-input", "--email", ADMIN, "--display_name", "Admin"],
        cwd=PROJECT,
        env={**os.environ, **stack.env, "DJANGO_SUPERUSER_PASSWORD": password},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    directory, python = stack.directory.path, Path(sys.executable)
    python = python.relative_to(PROJECT) if python.is_relative_to(PROJECT) else python
    for line in (
        f"Django admin   {stack.base_url}/admin/   {ADMIN} / {password}",
        f"API docs       {stack.base_url}/api/docs",
        f'manage.py      eval "$({python} -m devstack env --directory {directory})" && {python} manage.py bus_status',
        f"Kafka          {python} -m devstack kafka --directory {directory} topics --list",
        "Ctrl-C ends it all",
    ):
        output.write("try", line)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        output.write("demo", "stopping")
