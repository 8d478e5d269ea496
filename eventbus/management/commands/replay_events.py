import getpass
import signal
import threading
from argparse import ArgumentTypeError
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventbus.conf import bus_settings
from eventbus.exceptions import EventBusError
from eventbus.models import Replay
from eventbus.replay.choice import Choice
from eventbus.replay.running import begin_replay, choose, forecast, resume_replay, run_replay

BOUNDS = ("since", "until", "topic", "key", "event")


def moment(text: str) -> datetime:
    """A time in ISO 8601; without a time zone it is UTC."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no time such as 2026-03-01T12:00:00+00:00") from error
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def rate(text: str) -> float:
    """Events a second."""
    try:
        value = float(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no number") from error
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"{text} events a second would take for ever, or no time at all")
    return value


class Command(BaseCommand):
    help = (
        "Hand events to one room once more: first only shown, done with --apply. What the room has handled is skipped "
        "unless --again names a handler."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("room", nargs="?", help="the room whose group gets the events")
        parser.add_argument("--from", dest="source", choices=Replay.Source.values, default="journal")
        parser.add_argument("--since", type=moment, help="messages of this time (ISO 8601, UTC) and later")
        parser.add_argument("--until", type=moment, help="messages before this time")
        parser.add_argument("--topic", action="append", default=[], help="only this topic; may be repeated, as below")
        parser.add_argument("--key", action="append", default=[], help="only this key")
        parser.add_argument("--event", action="append", default=[], help="only the event of this id")
        parser.add_argument("--all", action="store_true", help="every event there is")
        parser.add_argument("--again", action="append", default=[], help="run this handler also for what was handled")
        parser.add_argument("--rate", type=rate, default=100.0, help="at most so many events a second (%(default)s)")
        parser.add_argument("--apply", action="store_true", help="do it, rather than show what would be done")
        parser.add_argument("--resume", type=int, metavar="ID", help="go on with a replay that stopped")
        parser.add_argument("--reason", default="", help="why; required by --apply and --resume")
        parser.add_argument("--actor", default=getpass.getuser(), help="who does it (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        if (options["apply"] or options["resume"]) and not options["reason"].strip():
            raise CommandError("Say --reason: it goes into the audit row.")
        try:
            if options["resume"]:
                self._resume(options)
            else:
                self._replay(options)
        except (EventBusError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error

    def _resume(self, options: dict[str, Any]) -> None:
        if options["room"] or any(options[bound] for bound in BOUNDS):
            raise CommandError("A replay goes on with the events it was begun for: name no room and no bound.")
        self._run(resume_replay(options["resume"], actor=options["actor"], reason=options["reason"]), options)

    def _replay(self, options: dict[str, Any]) -> None:
        if not options["room"]:
            raise CommandError(f"Name a room: {', '.join(sorted(bus_settings().rooms))}.")
        if not options["all"] and not any(options[bound] for bound in BOUNDS):
            raise CommandError("Say which events: --since, --until, --topic, --key, --event, or --all.")
        if options["since"] and options["until"] and options["since"] >= options["until"]:
            raise CommandError("--since must be before --until.")
        choice, again = choose(
            options["room"],
            again=options["again"],
            topics=options["topic"],
            since=options["since"],
            until=options["until"],
            keys=tuple(options["key"]),
            event_ids=tuple(options["event"]),
        )
        if not options["apply"]:
            self._show(options["room"], choice, again, options["source"])
            return
        replay = begin_replay(
            room=options["room"],
            choice=choice,
            again=again,
            source=options["source"],
            actor=options["actor"],
            reason=options["reason"],
        )
        self._run(replay, options)

    def _show(self, room: str, choice: Choice, again: list[str], source: str) -> None:
        found = forecast(room, choice, source=source)
        for topic in sorted(found.new.keys() | found.known.keys()):
            self.stdout.write(f"{topic:<32} {found.new[topic]:>8} new {found.known[topic]:>8} handled already")
        known, new = found.known.total(), found.new.total()
        left = f"{known} would be given to {', '.join(again)} again" if again else f"{known} would be skipped"
        self.stdout.write(f"{new} events would be handed to {room}, {left}. Nothing was done; --apply does it.")
        if found.stepped_over:
            self.stderr.write(f"It would stop: {found.stepped_over}.")

    def _run(self, replay: Replay, options: dict[str, Any]) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        self.stdout.write(f"{replay}, resumable with --resume {replay.pk}")
        run_replay(replay, rate=options["rate"], stop=stop)
        self.stdout.write(
            f"{replay.handled} events handed over, {replay.handled_again} again, {replay.skipped} skipped."
        )
        if replay.state != Replay.State.DONE:
            raise CommandError(f"{replay} stopped: {replay.error}. Go on with --resume {replay.pk}.")
