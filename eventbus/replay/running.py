"""A replay: events handed to one group once more, through its inbox, slowly enough, and audited.

What the group has not handled is handled as ever, and parked when it fails. What it has handled is skipped, unless the
replay names handlers to run again; those run once per replay, for the replay claims each event in the inbox too. So a
replay that died goes on at its last page and doubles nothing.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.utils import timezone

from eventbus.conf import JOURNAL, bus_settings
from eventbus.context import event_context
from eventbus.exceptions import EventBusError
from eventbus.faults import fault
from eventbus.handlers import Handler, handlers_of
from eventbus.messages import Delivery, Message
from eventbus.models import InboxEvent, OperatorAction, ParkedEvent, Replay
from eventbus.processing import Processor
from eventbus.replay.choice import Choice
from eventbus.replay.order import SteppedOver
from eventbus.replay.sources import SOURCES
from eventbus.topics import topics_of

LOCK_SPACE = 0x7270  # the first key of the advisory lock that a running replay holds
CHUNK = 100


class ReplayRefusedError(EventBusError):
    """A replay cannot begin or go on as it was asked for; nothing was done."""


class TooManyFailuresError(EventBusError):
    """The breaker leaves a topic's messages alone, because its handlers fail for too many keys."""

    def __init__(self, message: Message) -> None:
        super().__init__(f"{message.place} and what follows: the handlers of its topic fail for too many keys")


@dataclass(slots=True)
class Forecast:
    """What a replay would do, by topic."""

    new: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    stepped_over: SteppedOver | None = None  # what it would stop at


def choose(
    room: str, *, again: Sequence[str] = (), topics: Sequence[str] = (), **bounds: object
) -> tuple[Choice, list[str]]:
    """A choice among the room's topics, all of them by default, and its handlers to run again.

    Raises ReplayRefusedError, naming what there is, for a room, a topic or a handler that is not.
    """
    if room == JOURNAL:
        raise ReplayRefusedError("The journal has no handlers: replay to a room.")
    try:
        readable = topics_of(room)
    except ImproperlyConfigured as error:
        raise ReplayRefusedError(str(error)) from error
    prefix = bus_settings().topic_prefix
    named = [topic if topic in readable else prefix + topic for topic in topics]
    for topic in named:
        if topic not in readable:
            raise ReplayRefusedError(f"{room} does not read {topic!r}; it reads {', '.join(readable)}")
    names = {handler.name for answers in handlers_of(room).values() for handler in answers}
    for name in again:
        if name not in names:
            raise ReplayRefusedError(f"{room} has no handler {name!r}; it has {', '.join(sorted(names))}")
    return Choice(topics=tuple(named or readable), **bounds), list(again)  # type: ignore[arg-type]  # the caller's own


def forecast(room: str, choice: Choice, *, source: str) -> Forecast:
    """Look at every chosen event and do nothing."""
    reader, found, group = SOURCES[source], Forecast(), bus_settings().room(room).group_id
    for deliveries, _ in reader.pages(choice, *reader.span(choice, group=group)):
        handled = handled_among(group, deliveries)
        new = [delivery for delivery in deliveries if delivery.event_id not in handled]
        found.stepped_over = found.stepped_over or reader.stepped_over(group, choice, new)
        for delivery in deliveries:
            counted = found.known if delivery.event_id in handled else found.new
            counted[delivery.message.topic] += 1
            handled.add(delivery.event_id)
    return found


def begin_replay(*, room: str, choice: Choice, again: Sequence[str], source: str, actor: str, reason: str) -> Replay:
    """Write down what will be replayed, by whom and why; `run_replay` does it."""
    group = bus_settings().room(room).group_id
    position, end = SOURCES[source].span(choice, group=group)
    with transaction.atomic():
        replay = Replay.objects.create(
            room=room,
            group=group,
            source=source,
            choice=choice.to_json(),
            again=list(again),
            actor=actor,
            reason=reason,
            position=position,
            end=end,
        )
        words = f"; again: {', '.join(again)}" if again else ""
        _audit(replay, actor=actor, reason=reason, what=f"{choice} from {replay.get_source_display()}{words}")
    return replay


def resume_replay(replay_id: int, *, actor: str, reason: str) -> Replay:
    """A replay that stopped, to go on where it was; raises ReplayRefusedError when it cannot."""
    replay = Replay.objects.filter(pk=replay_id).first()
    if replay is None:
        raise ReplayRefusedError(f"There is no replay {replay_id}.")
    if replay.state == Replay.State.DONE:
        raise ReplayRefusedError(f"Replay {replay_id} is done: {replay.handled + replay.handled_again} events.")
    choose(replay.room, again=replay.again, topics=replay.choice["topics"])  # what a new version may have taken away
    _audit(replay, actor=actor, reason=reason, what="resumed")
    return replay


def run_replay(replay: Replay, *, rate: float, stop: threading.Event | None = None) -> Replay:
    """Hand the events over, at most `rate` a second, until the end, a stop, or a failure of a repeated handler.

    Raises ReplayRefusedError when another process runs it, TransportError or a database error when one is away; it can
    be resumed after each of them.
    """
    with _alone(replay):
        replay.refresh_from_db()
        _Run(replay, rate=rate, stop=stop or threading.Event()).run()
    return replay


class _Run:
    def __init__(self, replay: Replay, *, rate: float, stop: threading.Event) -> None:
        self.replay, self.stop = replay, stop
        self.choice = Choice.from_json(replay.choice)
        self.processor = Processor(replay.room)
        self._pause = 1 / rate
        self._due = time.monotonic()

    def run(self) -> None:
        replay = self.replay
        self._note(state=Replay.State.RUNNING, error="")
        source = SOURCES[replay.source]
        for deliveries, position in source.pages(self.choice, replay.position, replay.end):
            handled = handled_among(replay.group, deliveries)
            new = [delivery for delivery in deliveries if delivery.event_id not in handled]
            if found := source.stepped_over(replay.group, self.choice, new):
                self._note(state=Replay.State.STOPPED, error=str(found))
                return
            for start in range(0, len(deliveries), CHUNK):
                if self.stop.is_set():
                    self._note(state=Replay.State.STOPPED, error="stopped by hand")
                    return
                chunk = deliveries[start : start + CHUNK]
                if not self._hand_over(chunk):
                    return
                self._wait(len(chunk))
            fault("during_replay")
            self._note(position=position)
        self._note(state=Replay.State.DONE)

    def _hand_over(self, deliveries: list[Delivery]) -> bool:
        """In order; False when a repeated handler failed."""
        if not self.replay.again:
            handled = handled_among(self.replay.group, deliveries)
            new = [delivery.message for delivery in deliveries if delivery.event_id not in handled]
            left = self.processor.process(new)
            self.replay.handled += len(new) - len(left)
            self.replay.skipped += len(deliveries) - len(new)
            if left:
                self._note(state=Replay.State.STOPPED, error=str(TooManyFailuresError(left[0])))
            return not left
        for delivery in deliveries:
            try:
                self._repeat(delivery)
            except Exception as error:
                what = f"{delivery.message.place} {delivery.event_id}: {type(error).__name__}: {error}"
                self._note(state=Replay.State.STOPPED, error=what.replace("\x00", ""))
                return False
        return True

    @transaction.atomic
    def _repeat(self, delivery: Delivery) -> None:
        """All handlers if the group has not handled it, else those named; once in this replay."""
        _, is_mine = InboxEvent.objects.get_or_create(
            group=self.replay.claims,
            event_id=delivery.event_id,
            defaults={
                "topic": delivery.message.topic,
                "partition": delivery.message.partition,
                "offset": delivery.message.offset,
            },
        )
        handlers = self._named(delivery)
        if not is_mine:
            self.replay.skipped += 1
        elif not handled_among(self.replay.group, [delivery]):
            if self.processor.process([delivery.message]):
                raise TooManyFailuresError(delivery.message)
            self.replay.handled += 1
        elif handlers and delivery.event is not None and not self._is_parked(delivery):
            with event_context(delivery.context):
                for handler in handlers:
                    handler(delivery.event)
            self.replay.handled_again += 1
        else:
            self.replay.skipped += 1

    def _is_parked(self, delivery: Delivery) -> bool:
        """Whether it was claimed to wait: its handlers have not run, and will when its turn comes."""
        return ParkedEvent.objects.filter(group=self.replay.group, event_id=delivery.event_id).exists()

    def _named(self, delivery: Delivery) -> list[Handler]:
        answers = self.processor.handlers.get(delivery.event_type, ())
        return [handler for handler in answers if handler.name in self.replay.again]

    def _wait(self, count: int) -> None:
        self._due = max(self._due, time.monotonic() - 1) + count * self._pause
        self.stop.wait(max(0.0, self._due - time.monotonic()))

    def _note(self, **fields: object) -> None:
        for name, value in fields.items():
            setattr(self.replay, name, value)
        self.replay.moved_at = timezone.now()
        self.replay.save(update_fields=[*fields, "handled", "handled_again", "skipped", "moved_at"])


def handled_among(group: str, deliveries: Sequence[Delivery]) -> set[str]:
    """The ids of these that the group has taken care of."""
    ids = [delivery.event_id for delivery in deliveries]
    return set(InboxEvent.objects.filter(group=group, event_id__in=ids).values_list("event_id", flat=True))


@contextmanager
def _alone(replay: Replay) -> Iterator[None]:
    """Hold the replay's lock while it runs, on a connection of its own: the other one is replaced when it is old."""
    holder = connection.copy()
    try:
        with holder.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK_SPACE, replay.pk % 2**31])
            if cursor.fetchone() != (True,):
                raise ReplayRefusedError(f"Replay {replay.pk} is running in another process.")
        yield
    finally:
        holder.close()


def _audit(replay: Replay, *, actor: str, reason: str, what: str) -> None:
    OperatorAction.objects.create(
        action=OperatorAction.Action.REPLAY, actor=actor, target=f"{replay}: {what}", reason=reason
    )
