"""Parked keys and dead letters: what could not be handled waits here, in key order, until it can or a person decides.

The first failing message of a (group, topic, key) is its head and is retried with growing delay; later messages of
that key queue behind it. After the last attempt the head is a dead letter and the key stays parked, unless its group
is named in `continue_past_dead`. A message joins a parked key, and a key is set free, only under the key's advisory
lock, so a late follower cannot be left without a head. Times are the database's: a host's clock may jump.
"""

import logging
import random
import time
import traceback as tracebacks
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from datetime import timedelta
from math import inf
from zlib import crc32

from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models.expressions import Combinable
from django.db.models.functions import Now

from eventbus.breaker import Breaker
from eventbus.conf import bus_settings
from eventbus.database import is_lock_timeout, is_lost, is_out_of_service, replace_if_broken
from eventbus.dead_letters import announce
from eventbus.exceptions import DecodeError, DomainError, HandlerCrashedError, NotYetError
from eventbus.faults import fault
from eventbus.messages import Delivery, Message, read
from eventbus.models import InboxEvent, OperatorAction, ParkedEvent

logger = logging.getLogger(__name__)

Place = tuple[str, str]  # topic, key
Answer = Callable[[Delivery], None]
FOR_GOOD = (DomainError, DecodeError, HandlerCrashedError)
ATTEMPT_LEASE = timedelta(seconds=10)  # an attempt whose process died is due again after this; a living one has a lock
LOCK_SPACE = 0x7472  # the first key of our two-key advisory locks, so that they meet nobody else's
LOCK_WAIT = "5s"  # for the key of an attempt, of which a batch may hold the lock; less than ATTEMPT_LEASE

LOCK_IN_TIME = """
SELECT pg_advisory_xact_lock(%s, %s), set_config('lock_timeout', usual.lock_timeout, true)
  FROM (SELECT current_setting('lock_timeout') AS lock_timeout, set_config('lock_timeout', %s, true)
        OFFSET 0) AS usual
"""  # the handlers that follow in this transaction wait as ever


def blocked_keys(group: str, places: Iterable[Place]) -> set[Place]:
    """Which of these keys are parked; those are also locked until the transaction ends."""
    wanted = sorted(set(places))
    found = _parked_among(group, wanted)
    if not found:
        return found
    for topic, key in sorted(found):
        lock(group, topic, key)
    return _parked_among(group, sorted(found))


def queue(group: str, delivery: Delivery) -> None:
    """Let a message wait behind its parked key."""
    _row(group, delivery, state=ParkedEvent.State.QUEUED).save(force_insert=True)


def bury(group: str, delivery: Delivery, error: Exception) -> None:
    """Make a message that can never be handled a dead letter."""
    dead = _row(group, delivery, state=ParkedEvent.State.DEAD, attempts=1, **_described(error))
    dead.save(force_insert=True)
    announce(dead)
    logger.error("%s: dead letter %s (%s)", group, delivery.message.place, type(error).__name__)


def park(group: str, delivery: Delivery, error: Exception) -> None:
    """Make a failed message the head of its key: retried later, or dead when its error is for good."""
    if _is_parked(group, delivery):
        queue(group, delivery)
    elif isinstance(error, FOR_GOOD):
        bury(group, delivery, error)
    else:
        due = next_attempt(error, attempts=1)
        _row(
            group, delivery, state=ParkedEvent.State.RETRYING, attempts=1, next_attempt_at=due, **_described(error)
        ).save(force_insert=True)
        logger.warning("%s: parked %s (%s)", group, delivery.message.place, type(error).__name__)


def park_ahead(group: str, delivery: Delivery) -> tuple[str, ParkedEvent | None]:
    """Store a message's first attempt before it is made: what became of it, and the head to try now if there is one."""
    if _is_parked(group, delivery):
        queue(group, delivery)
        return "queued", None
    if delivery.error is not None:
        bury(group, delivery, delivery.error)
        return "dead", None
    due = Now() + ATTEMPT_LEASE
    head = _row(group, delivery, state=ParkedEvent.State.RETRYING, attempts=1, crashes=1, next_attempt_at=due)
    head.save(force_insert=True)
    return "parked", head


def retry_due(
    group: str, answer: Answer, breaker: Breaker, *, topics: Collection[str], limit: int, seconds: float = inf
) -> int:
    """Run due heads of these topics and, as each succeeds, its followers; the number of attempts made.

    At most `limit`, and none is begun after so many seconds.
    """
    ends_at = time.monotonic() + seconds
    for made in range(limit):
        head = _begin_attempt(group, set(topics) - breaker.paused()) if time.monotonic() <= ends_at else None
        if head is None:
            return made
        fault("before_retry")
        attempt(head, answer, breaker)
    return limit


def attempt(head: ParkedEvent, answer: Answer, breaker: Breaker) -> bool:
    """Make an attempt that is already counted; whether it succeeded."""
    try:
        failure = _make_attempt(head, answer)
    except Exception as error:
        if is_lock_timeout(error):  # a batch is at work on the key for so long
            _take_back(head)
            return False
        if is_out_of_service(error) or is_lost(error):
            _take_back(head)
            raise
        replace_if_broken()
        _record_failure(head, error)
        failure = error
    if failure is not None:
        breaker.failed(head.topic, head.key, failure)
        return False
    breaker.succeeded(head.topic, head.key)
    return True


def retry_all(dead: Iterable[ParkedEvent], *, per_second: float, actor: str, reason: str = "") -> int:
    """Give dead letters new attempts, the first due now and so many a second after it; how many they were.

    The rate is that of their first attempts, whoever makes them: nobody waits here.
    """
    number = -1
    for number, parked in enumerate(dead):
        retry(parked, after=timedelta(seconds=number / per_second), actor=actor, reason=reason)
    return number + 1


@transaction.atomic
def retry(parked: ParkedEvent, *, actor: str, reason: str = "", after: timedelta = timedelta(0)) -> None:
    """Give a dead letter a new set of attempts, starting now or after a while."""
    lock(parked.group, parked.topic, parked.key)
    dead = ParkedEvent.objects.dead().select_for_update().filter(pk=parked.pk).first()
    if dead is None:
        return
    others = ParkedEvent.objects.of_key(dead.group, dead.topic, dead.key).filter(state=ParkedEvent.State.RETRYING)
    if others.exists():
        _update(dead, state=ParkedEvent.State.QUEUED, attempts=0, next_attempt_at=None)
    else:
        _update(dead, state=ParkedEvent.State.RETRYING, attempts=0, next_attempt_at=Now() + after)
    _audit(OperatorAction.Action.RETRY, dead, actor=actor, reason=reason)


@transaction.atomic
def edit(parked: ParkedEvent, *, payload: bytes, actor: str, reason: str) -> None:
    """Replace a dead letter's value by one that can be read, and retry it; raises DecodeError when it cannot be."""
    lock(parked.group, parked.topic, parked.key)
    dead = ParkedEvent.objects.dead().select_for_update().filter(pk=parked.pk).first()
    if dead is None:
        return
    dead.payload = payload
    edited = delivery_of(dead)
    if edited.error is not None:
        raise edited.error
    if edited.event_id != dead.event_id and InboxEvent.objects.filter(group=dead.group, event_id=edited.event_id):
        raise DecodeError(f"its id {edited.event_id} is that of another event, which {dead.group} has taken care of")
    dead.save(update_fields=["payload"])
    _audit(OperatorAction.Action.EDIT, dead, actor=actor, reason=reason)
    retry(dead, actor=actor, reason=reason)


@transaction.atomic
def discard(parked: ParkedEvent, *, actor: str, reason: str) -> None:
    """Give a dead letter up: its event will have no effect in this group, and its key goes on."""
    lock(parked.group, parked.topic, parked.key)
    dead = ParkedEvent.objects.dead().select_for_update().filter(pk=parked.pk).first()
    if dead is None:
        return
    _audit(OperatorAction.Action.DISCARD, dead, actor=actor, reason=reason)
    _release(dead)


def next_attempt(error: Exception, *, attempts: int) -> Combinable:
    """When to try again: doubling from retry_base_seconds to retry_cap_seconds, with jitter of a quarter."""
    settings = bus_settings()
    cap = settings.retry_cap_seconds * (4 if isinstance(error, NotYetError) else 1)
    delay = min(cap, settings.retry_base_seconds * 2.0 ** min(attempts - 1, 30))
    return Now() + timedelta(seconds=delay * random.uniform(0.75, 1.25))  # noqa: S311 - jitter, not a secret


def _is_parked(group: str, delivery: Delivery) -> bool:
    """Whether this message's key has a head; locked either way, so that it does not get two."""
    place = (delivery.message.topic, delivery.key)
    lock(group, *place)
    return bool(_parked_among(group, [place]))


def _parked_among(group: str, places: list[Place]) -> set[Place]:
    if not places:
        return set()
    blocking = [ParkedEvent.State.RETRYING, ParkedEvent.State.QUEUED]
    if group not in bus_settings().continue_past_dead:
        blocking.append(ParkedEvent.State.DEAD)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT p.topic, p.key FROM unnest(%s::text[], %s::text[]) AS w(topic, key)"
            " JOIN eventbus_parkedevent p"
            ' ON p."group" = %s AND p.topic = w.topic AND p.key = w.key AND p.state = ANY(%s)',
            [[topic for topic, _ in places], [key for _, key in places], group, [str(state) for state in blocking]],
        )
        return {(topic, key) for topic, key in cursor.fetchall()}


def _begin_attempt(group: str, topics: Collection[str]) -> ParkedEvent | None:
    """Count an attempt of one due head before it is made, so that a crash in it counts too.

    Only of topics that this process has handlers for: while a new version starts, one of the old version would else run
    none for what the new one parked, and take that for success.
    """
    due = ParkedEvent.objects.filter(
        group=group, topic__in=sorted(topics), state=ParkedEvent.State.RETRYING, next_attempt_at__lte=Now()
    )
    with transaction.atomic():
        head = due.order_by("next_attempt_at", "id").select_for_update(skip_locked=True).first()
        if head is not None:
            lease = Now() + ATTEMPT_LEASE
            _update(head, attempts=head.attempts + 1, crashes=head.crashes + 1, next_attempt_at=lease)
        return head


def _make_attempt(head: ParkedEvent, answer: Answer) -> Exception | None:
    """Run the handlers under the key's lock; why they failed, if they did, which is then written down.

    The lock is held until that is done: a head that is due and not locked is one whose process died in the attempt.
    """
    with transaction.atomic():
        _lock_in_time(head)
        mine = ParkedEvent.objects.select_for_update().filter(pk=head.pk, attempts=head.attempts).first()
        if mine is None:
            return None
        try:
            _answer_once(mine, answer)
        except Exception as error:
            if is_out_of_service(error) or connection.needs_rollback:  # then nothing can be written down either
                raise
            _record_failure(mine, error)
            return error
        _release(mine)
        fault("during_retry")
    return None


def _answer_once(parked: ParkedEvent, answer: Answer) -> None:
    """Run the handlers, unless the group has taken care of the event that this turns out to be.

    A message that could not be read was claimed by its place; an upgrade may make two copies of an event readable.
    """
    if parked.crashes > bus_settings().crash_attempts:
        raise HandlerCrashedError(f"the process ended in {parked.crashes - 1} attempts at this event")
    delivery = delivery_of(parked)
    with transaction.atomic():
        if delivery.event is None or delivery.event_id == parked.event_id or _claim(parked, delivery.event_id):
            answer(delivery)
            connection.check_constraints()  # deferred ones would fail when the failure cannot be written down any more


def _claim(parked: ParkedEvent, event_id: str) -> bool:
    place = {"topic": parked.topic, "partition": parked.partition, "offset": parked.offset}
    return InboxEvent.objects.get_or_create(group=parked.group, event_id=event_id, defaults=place)[1]


def _take_back(head: ParkedEvent) -> None:
    """Uncount an attempt that the database cut short, if it lets us: the handler neither failed nor crashed."""
    counted = ParkedEvent.objects.filter(pk=head.pk, attempts=head.attempts, state=ParkedEvent.State.RETRYING)
    with suppress(DatabaseError, InterfaceError):
        replace_if_broken()
        with transaction.atomic():
            counted.update(attempts=head.attempts - 1, crashes=head.crashes - 1)


def _record_failure(head: ParkedEvent, error: Exception) -> None:
    settings = bus_settings()
    if isinstance(error, NotYetError):
        limit = timedelta(seconds=settings.not_yet_limit_seconds)
        is_dead = ParkedEvent.objects.filter(pk=head.pk, parked_at__lte=Now() - limit).exists()
    else:
        is_dead = isinstance(error, FOR_GOOD) or head.attempts >= settings.retry_attempts
    with transaction.atomic():
        lock(head.group, head.topic, head.key)
        mine = ParkedEvent.objects.select_for_update().filter(pk=head.pk, attempts=head.attempts).first()
        if mine is None:
            return
        if not is_dead:
            due = next_attempt(error, attempts=mine.attempts)
            _update(mine, crashes=0, next_attempt_at=due, **_described(error))
            return
        _update(mine, state=ParkedEvent.State.DEAD, crashes=0, next_attempt_at=None, **_described(error))
        announce(mine)
        logger.error(
            "%s: dead letter %s:%d:%d after %d attempts (%s)",
            *(mine.group, mine.topic, mine.partition, mine.offset, mine.attempts, type(error).__name__),
        )
        if mine.group in settings.continue_past_dead:
            promote(mine)


def _release(head: ParkedEvent) -> None:
    """Take a head away and let the next of its key come up."""
    pk = head.pk
    ParkedEvent.objects.filter(pk=pk).delete()
    promote(head)


def promote(head: ParkedEvent) -> None:
    """Make the first that waits the head of its key, unless there is one; under the key's lock."""
    key_rows = ParkedEvent.objects.of_key(head.group, head.topic, head.key)
    if key_rows.filter(state=ParkedEvent.State.RETRYING).exists():
        return
    follower = key_rows.filter(state=ParkedEvent.State.QUEUED).first()
    if follower is not None:
        _update(follower, state=ParkedEvent.State.RETRYING, next_attempt_at=Now())


def lock(group: str, topic: str, key: str) -> None:
    """Keep a key's parked events to this transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_SPACE, _lock_number(group, topic, key)])


def _lock_in_time(head: ParkedEvent) -> None:
    """Lock an attempt's key before its lease is over: in a longer wait others would begin attempts at it too."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK_IN_TIME, [LOCK_SPACE, _lock_number(head.group, head.topic, head.key), LOCK_WAIT])


def _lock_number(group: str, topic: str, key: str) -> int:
    return crc32(f"{group}\x1f{topic}\x1f{key}".encode()) - 2**31


def _row(group: str, delivery: Delivery, **fields: object) -> ParkedEvent:
    message = delivery.message
    return ParkedEvent(
        group=group,
        topic=message.topic,
        key=delivery.key,
        partition=message.partition,
        offset=message.offset,
        event_id=delivery.event_id,
        payload=message.value,
        headers=dict(message.headers),
        **fields,
    )


def delivery_of(parked: ParkedEvent) -> Delivery:
    """The message as it came, read again: a parked event may have become readable by an upgrade."""
    return read(
        Message(
            topic=parked.topic,
            partition=parked.partition,
            offset=parked.offset,
            key=parked.key.encode(),
            value=None if parked.payload is None else bytes(parked.payload),
            headers=parked.headers,
        )
    )


def _described(error: Exception) -> dict[str, str]:
    return {
        "error_class": f"{type(error).__module__}.{type(error).__qualname__}"[:200],
        "error": str(error).replace("\x00", "")[:5000],
        "traceback": "".join(tracebacks.format_exception(error)).replace("\x00", "")[-20_000:],
    }


def _update(parked: ParkedEvent, **fields: object) -> None:
    for name, value in fields.items():
        setattr(parked, name, value)
    parked.save(update_fields=list(fields))


def _audit(action: OperatorAction.Action, parked: ParkedEvent, *, actor: str, reason: str) -> None:
    OperatorAction.objects.create(
        action=action,
        actor=actor,
        target=f"{parked.group} {parked.topic}:{parked.partition}:{parked.offset} {parked.event_id}",
        reason=reason,
    )
