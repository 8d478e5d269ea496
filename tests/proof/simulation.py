"""Many writers and several relays at once on a real database, and what Kafka then holds."""

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction

from eventbus import backlog, faults, leases
from eventbus import relay as relay_module
from eventbus.floors import Floors
from eventbus.messages import Row
from eventbus.models import OutboxEvent
from eventbus.outbox import publish, publish_in_turn
from eventbus.relay import Relay
from tests.eventbus.sample import Counted
from tests.proof.broker import Broker, RecordingProducer

WRITERS, TRANSACTIONS, KEYS, RELAYS = 16, 20, 6, 3
ROLLED_BACK, KILLED = 0.1, 0.03
LEASE_SECONDS = 0.6


class Killed(BaseException):
    """The relay process is gone, whatever it was doing."""


@dataclass
class Facts:
    """What truly happened: the event ids in the order in which their transactions held the lock of their key."""

    committed: dict[str, dict[int, str]] = field(default_factory=dict)  # key: number: event id
    rolled_back: set[str] = field(default_factory=set)
    mutex: threading.Lock = field(default_factory=threading.Lock)

    def in_order(self) -> dict[str, list[str]]:
        return {key: [ids[number] for number in sorted(ids)] for key, ids in self.committed.items()}


class CursorRelay(Relay):
    """Wrong on purpose: it reads what lies behind the highest id that it, or its predecessor, has seen."""

    last: ClassVar[int] = 0

    def _fetch(self, owned: Mapping[int, int]) -> list[Row]:
        rows = [row for row in super()._fetch(owned) if row.id > self.last]
        CursorRelay.last = max([self.last, *(row.id for row in rows)])
        return rows


class InheritedFloors(Floors):
    """Floors that no lease and no connection makes anybody forget."""

    def forget(self) -> None:
        pass

    def above(self, owned: Mapping[int, int]) -> list[int]:
        return [self._floors.get(bucket, 0) for bucket in owned]


class HastyRelay(Relay):
    """Wrong on purpose: raises a bucket's floor, and its successor's, to what it deleted, whoever may still write."""

    floors: ClassVar[InheritedFloors] = InheritedFloors()

    def __init__(self) -> None:
        super().__init__()
        self.backlog.floors = self.floors

    def _finish(self, rows: Sequence[Row], owned: Mapping[int, int]) -> None:
        super()._finish(rows, owned)
        self.floors._floors.update({row.bucket: row.id for row in rows})


def lock_and_count(key: UUID) -> int:
    """The write that locks the aggregate; numbers have no gap, and their order is that of the lock."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE proof_counter SET number = number + 1 WHERE id = %s RETURNING number", [key])
        return int(cursor.fetchone()[0])


def draw_transaction_id() -> None:
    """An early one, so that transaction ids say nothing about the order of the locks."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()")


def publish_late(key: UUID, event_id: str, pause: Callable[[], None]) -> int:
    """As the rule says: lock, then publish."""
    pause()
    number = lock_and_count(key)
    pause()
    publish(Counted(id=event_id, counter_id=key, number=number))
    pause()
    return number


def publish_early(key: UUID, event_id: str, pause: Callable[[], None]) -> int:
    """Wrong on purpose: the outbox row's id is drawn before the lock."""
    pause()
    publish(Counted(id=event_id, counter_id=key, number=0))
    pause()
    number = lock_and_count(key)
    pause()
    return number


def publish_early_in_turn(key: UUID, event_id: str, pause: Callable[[], None]) -> int:
    """Before the lock too, but with the key held from before the row's id is drawn."""
    pause()
    publish_in_turn(Counted(id=event_id, counter_id=key, number=0))
    pause()
    number = lock_and_count(key)
    pause()
    return number


def write(keys: list[UUID], facts: Facts, publish_way: Callable[..., int], seed: int) -> None:
    """One writer: transactions with pauses, a tenth of them rolled back."""
    chance = random.Random(seed)
    try:
        for _ in range(TRANSACTIONS):
            key, event_id = chance.choice(keys), str(uuid4())
            is_rolled_back = chance.random() < ROLLED_BACK
            with transaction.atomic():
                draw_transaction_id()
                number = publish_way(key, event_id, lambda: time.sleep(chance.choice([0, 0.001, 0.004])))
                transaction.set_rollback(is_rolled_back)
            with facts.mutex:
                if is_rolled_back:
                    facts.rolled_back.add(event_id)
                else:
                    facts.committed.setdefault(str(key), {})[number] = event_id
    finally:
        connection.close()


def abandon(relay: Relay) -> None:
    """Leave as kill -9 does: nothing is given back, the leases run out by themselves."""
    relay.leases._closing.set()
    relay.leases._thread.join()


def run_relays(kind: type[Relay], stop: threading.Event, tally: dict[str, int], seed: int) -> None:
    """One place for a relay: a process after the other, each ended by a stop or a kill."""
    chance = random.Random(seed)
    try:
        while not stop.is_set():
            relay = kind()
            relay.leases.start()
            ends_at = time.monotonic() + chance.uniform(0.3, 1.5)
            try:
                while not stop.is_set() and time.monotonic() < ends_at:
                    stop.wait(min(relay._guarded_round(), 0.01))
            except Killed:
                tally["kills"] += 1
                abandon(relay)
            else:
                tally["stops"] += 1
                relay._close()
            tally["floors"] += any(relay.backlog.floors._floors.values())
    finally:
        connection.close()


def misfortune(chance: random.Random, stop: threading.Event) -> Callable[[], None]:
    """At a fault point: now and then a kill, or a pause longer than the lease is believed."""

    def happen() -> None:
        if not threading.current_thread().name.startswith("proof-relay") or stop.is_set():
            return
        drawn = chance.random()
        if drawn < KILLED:
            raise Killed
        if drawn < 2 * KILLED:
            time.sleep(LEASE_SECONDS * 1.5)

    return happen


def simulate(
    patch: pytest.MonkeyPatch,
    *,
    publish_way: Callable[..., int] = publish_late,
    relay_kind: type[Relay] = Relay,
    relays: int = RELAYS,
    misfortunes: bool = True,
    quiet_seconds: float = 5.0,
) -> tuple[Facts, Broker, dict[str, int]]:
    """One round: everybody at once until the writers are done and the outbox is empty or moves no more."""
    broker, facts, stop = Broker(), Facts(), threading.Event()
    keys = [uuid4() for _ in range(KEYS)]
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO proof_counter VALUES (%s, 0)", [[key] for key in keys])
    patch.setattr(relay_module, "EventProducer", partial(RecordingProducer, broker))
    patch.setattr(leases, "BALANCE_SECONDS", 0.05)
    patch.setattr(backlog, "LOOK_SECONDS", 0.0)
    tally = {"kills": 0, "stops": 0, "floors": 0}
    seeds = random.Random()
    writers = [
        threading.Thread(target=write, args=[keys, facts, publish_way, seeds.getrandbits(32)]) for _ in range(WRITERS)
    ]
    places = [
        threading.Thread(
            target=run_relays, args=[relay_kind, stop, tally, seeds.getrandbits(32)], name=f"proof-relay-{n}"
        )
        for n in range(relays)
    ]
    with ExitStack() as stack:
        for point in ("before_produce", "after_ack_before_delete") if misfortunes else ():
            stack.enter_context(faults.armed(point, misfortune(random.Random(), stop)))
        for thread in [*writers, *places]:
            thread.start()
        for thread in writers:
            thread.join()
        wait_until_quiet(quiet_seconds)
        stop.set()
        for thread in places:
            thread.join()
    return facts, broker, tally


def wait_until_quiet(seconds: float) -> None:
    """Until the outbox is empty, or has not changed for so long."""
    waiting, since = -1, time.monotonic()
    while waiting != 0 and time.monotonic() - since < seconds:
        now = OutboxEvent.objects.count()
        if now != waiting:
            waiting, since = now, time.monotonic()
        time.sleep(0.02)
