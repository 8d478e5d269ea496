"""Writers, relays, a broker and consumers, driven step by step into every trouble that has a name."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, ClassVar
from uuid import UUID, uuid4

from django.db import connection, transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from eventbus import faults, operators, parking
from eventbus.consumer import Consumer
from eventbus.exceptions import BrokerUnavailableError, DomainError, NotYetError
from eventbus.models import HeldKey, InboxEvent, OutboxEvent, ParkedEvent, RelayBucket, RelayWorker
from eventbus.outbox import publish
from eventbus.relay import Relay
from tests.eventbus import sample
from tests.eventbus.sample import Counted
from tests.proof.broker import Broker, RecordingProducer
from tests.proof.group import TOPIC, Group, Source
from tests.proof.simulation import Killed, draw_transaction_id, lock_and_count

KEYS = [UUID(int=number) for number in (1, 4, 5)]  # two of them share a partition
SPAN = 1000  # numbers of one key: they say by themselves whose they are
ACTORS = st.integers(0, 1)
FATES = st.lists(st.sampled_from(["written", "written", "lost_answer", "broken", "refused"]), min_size=1, max_size=4)
TROUBLES: dict[str, Callable[[], Exception]] = {
    "passing": lambda: RuntimeError("not now"),
    "permanent": lambda: DomainError("never"),
    "too early": lambda: NotYetError("what it needs is not there"),
}
GOES_WELL = ("", "")


def mishaps(*points: str) -> st.SearchStrategy[tuple[str, str]]:
    """Mostly nothing; else a kill at a point, or being overtaken there by one's twin."""
    bad = [(point, what) for point in points for what in ("kill", "overtake")]
    return st.sampled_from([GOES_WELL] * len(bad) + bad)


class BusMachine(RuleBasedStateMachine):
    """The whole bus, its outside world in memory, its inside on a real database."""

    writers: ClassVar[list[ThreadPoolExecutor]]
    world: ClassVar[dict[str, Any]]  # what the patched producer and consumer find: broker, group, member
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        clear_tables()
        sample.troubles.clear()
        self.broker = self.world["broker"] = Broker()
        self.group = self.world["group"] = Group(self.broker)
        self.open: list[list[tuple[UUID, int, str]] | None] = [None, None]
        self.truth: dict[UUID, list[tuple[int, str]]] = {key: [] for key in KEYS}
        self.skipped: set[str] = set()
        self.discarded: set[str] = set()
        self.relays = [new_relay(), new_relay()]
        self.consumers = [self.new_consumer(0), self.new_consumer(1)]

    def new_consumer(self, member: int) -> Consumer:
        self.world["member"] = member
        return Consumer("tests")

    # Writers

    @rule(writer=ACTORS, key=st.sampled_from(KEYS), is_committed=st.sampled_from([True, True, False]))
    def write(self, writer: int, key: UUID, *, is_committed: bool) -> None:
        if any(change[0] == key for change in self.open[1 - writer] or ()):
            return  # it would wait for the other one's lock
        if self.open[writer] is None:
            self.open[writer] = []
            self.ask(writer, begin)
        event_id = str(uuid4())
        number = self.ask(writer, lambda: write_one(key, event_id))
        self.open[writer].append((key, number, event_id))
        if is_committed:
            self.end(writer, is_rolled_back=False)

    @rule(writer=ACTORS, is_rolled_back=st.sampled_from([False, False, False, True]))
    def end(self, writer: int, *, is_rolled_back: bool) -> None:
        changes, self.open[writer] = self.open[writer], None
        if changes is not None:
            self.ask(writer, rollback if is_rolled_back else commit)
            for key, number, event_id in [] if is_rolled_back else changes:
                self.truth[key].append((number, event_id))

    def ask(self, writer: int, work: Callable[[], Any]) -> Any:
        return self.writers[writer].submit(work).result(timeout=10)

    # Relays and their broker

    @rule(fates=FATES)
    def the_broker_will(self, fates: list[str]) -> None:
        self.broker.fates = list(fates)

    @rule(number=ACTORS, mishap=mishaps("before_produce", "after_ack_before_delete"))
    def relay(self, number: int, mishap: tuple[str, str]) -> None:
        def overtake() -> None:
            run_out_of_lease(self.relays[number])
            self.relay_round(1 - number)

        with self.mishap(mishap, overtake):
            try:
                self.relay_round(number)
            except Killed:
                self.relays[number] = new_relay()

    @rule(number=ACTORS)
    def restart_relay(self, number: int) -> None:
        self.relays[number]._close()
        self.relays[number] = new_relay()

    @rule()
    def leases_of_the_dead_run_out(self) -> None:
        alive = [relay.id for relay in self.relays]
        RelayWorker.objects.exclude(id__in=alive).delete()
        RelayBucket.objects.exclude(owner__in=alive).filter(owner__isnull=False).update(expires_at="2020-01-01T00:00Z")

    @rule()
    def time_passes(self) -> None:
        for number in (0, 1):
            self.relay_round(number)
            self.consumers[number].step()

    def relay_round(self, number: int) -> None:
        relay = self.relays[number]
        relay.leases._balanced_at = -math.inf
        relay.leases.balance()
        with suppress(BrokerUnavailableError):
            relay.round()

    @rule(key=st.sampled_from(KEYS))
    def hold_a_key(self, key: UUID) -> None:
        operators.hold_key(topic=TOPIC, key=str(key), actor="ann", reason="the model says so")

    @rule(is_skipped=st.booleans())
    def settle_a_held_key(self, *, is_skipped: bool) -> None:
        held = HeldKey.objects.order_by("id").first()
        if held is None:
            return
        if not is_skipped:
            operators.release_key(held, actor="ann")
            return
        waiting = operators._first_event(held)
        operators.skip_event(held, actor="ann", reason="the model says so")
        if waiting is not None:
            self.skipped.add(str(waiting.event_id))

    # Consumers

    @rule(key=st.sampled_from(KEYS), which=st.integers(1, 4), kind=st.sampled_from(sorted(TROUBLES)))
    def a_handler_will_fail(self, key: UUID, which: int, kind: str) -> None:
        sample.troubles[KEYS.index(key) * SPAN + which] = TROUBLES[kind]

    @rule()
    def handlers_work_again(self) -> None:
        sample.troubles.clear()

    @rule(
        number=ACTORS,
        mishap=mishaps(
            *("before_batch", "before_commit", "before_park", "after_commit_before_offsets"),
            *("before_retry", "during_retry"),  # where care is taken because a consumer died
        ),
    )
    def consume(self, number: int, mishap: tuple[str, str]) -> None:
        if mishap in {("before_commit", "overtake"), ("during_retry", "overtake")}:
            return  # the twin would wait for this one's claims, or for its lock
        self.run_consumer(number, mishap, lambda consumer: consumer.step())

    @rule(number=ACTORS, mishap=mishaps("before_retry", "during_retry"))
    def retry(self, number: int, mishap: tuple[str, str]) -> None:
        if mishap == ("during_retry", "overtake"):
            return  # the twin would wait for this one's lock
        make_due()
        self.run_consumer(number, mishap, lambda consumer: consumer._retry())

    @rule(partition=ACTORS, member=ACTORS)
    def rebalance(self, partition: int, member: int) -> None:
        self.group.assign(partition, member)

    @rule(is_discarded=st.booleans())
    def settle_a_dead_letter(self, *, is_discarded: bool) -> None:
        dead = ParkedEvent.objects.dead().first()
        if dead is None:
            return
        if is_discarded:
            parking.discard(dead, actor="ann", reason="the model says so")
            self.discarded.add(dead.event_id)
        else:
            parking.retry(dead, actor="ann", reason="the model says so")

    def run_consumer(self, number: int, mishap: tuple[str, str], work: Callable[[Consumer], object]) -> None:
        def overtake() -> None:
            self.group.give_all_to(1 - number)
            make_due()
            work(self.consumers[1 - number])

        with self.mishap(mishap, overtake):
            try:
                work(self.consumers[number])
            except Killed:
                self.consumers[number] = self.new_consumer(number)
                for partition in [p for p, owner in self.group.owner.items() if owner == number]:
                    self.group.assign(partition, number)

    @contextmanager
    def mishap(self, mishap: tuple[str, str], overtake: Callable[[], None]) -> Iterator[None]:
        """Let it happen once, at the first visit of its point."""
        point, what = mishap
        left, overtaken = [what], list[str]()

        def happen() -> None:
            if left and left.pop() == "kill":
                raise Killed
            if what == "overtake" and not overtaken:
                overtaken.append(point)
                overtake()

        if not point:
            yield
            return
        with faults.armed(point, happen):
            yield

    # What must hold after every step

    @invariant()
    def the_log_holds_each_key_in_the_order_of_its_lock(self) -> None:
        type(self).steps += 1
        found = self.broker.ids_by_key()
        waiting = {str(event_id) for event_id in OutboxEvent.objects.values_list("event_id", flat=True)}
        for key in KEYS:
            written = found.get(str(key), [])
            expected = [i for _, i in self.truth[key] if i not in self.skipped or i in written]
            assert written == expected[: len(written)], f"{key}: order or a rolled back event"
            assert set(expected[len(written) :]) <= waiting, f"{key}: lost before Kafka"

    @invariant()
    def effects_follow_the_log_and_wait_for_their_head(self) -> None:
        found = self.broker.ids_by_key()
        number_of = {event_id: number for pairs in self.truth.values() for number, event_id in pairs}
        effects = sample.effects()
        for key in KEYS:
            expected = [number_of[i] for i in found.get(str(key), []) if i not in self.discarded]
            done = [number for counter, number in effects if counter == key]
            assert done == expected[: len(done)], f"{key}: twice, out of order, or past its head"

    @invariant()
    def everything_taken_has_its_effect_or_is_kept(self) -> None:
        handled = set(InboxEvent.objects.values_list("event_id", flat=True))
        assert len(handled) == len(sample.effects()) + ParkedEvent.objects.count() + len(self.discarded)
        for place, committed in self.group.committed.items():
            log = self.broker.logs[place]
            assert {message.headers["ce_id"] for message in log[:committed]} <= handled, "offset before the effect"

    # When the trouble is over, everything arrives

    def teardown(self) -> None:
        try:
            for writer in (0, 1):
                self.end(writer, is_rolled_back=False)
            self.broker.fates.clear()
            sample.troubles.clear()
            self.everything_arrives()
        finally:
            for relay in self.relays:
                relay._close()

    def everything_arrives(self) -> None:
        for _ in range(20):
            for held in HeldKey.objects.all():
                operators.release_key(held, actor="ann")
            self.leases_of_the_dead_run_out()
            for number in (0, 1):
                self.relay_round(number)
                self.consumers[number].step()
            for dead in ParkedEvent.objects.dead():
                parking.retry(dead, actor="ann")
            make_due()
            self.consumers[0]._retry()
            for partition in self.group.owner:
                self.group.assign(partition, 0)
            if not OutboxEvent.objects.exists() and not ParkedEvent.objects.exists() and not self.group.lag():
                break
        effects = sample.effects()
        for key in KEYS:
            missing = self.skipped | self.discarded
            must = [number for number, event_id in self.truth[key] if event_id not in missing]
            may = [number for number, event_id in self.truth[key] if event_id not in self.discarded]
            done = [number for counter, number in effects if counter == key]
            assert set(must) <= set(done) <= set(may), f"{key}: not everything arrived"


def begin() -> None:
    transaction.set_autocommit(False)
    draw_transaction_id()


def write_one(key: UUID, event_id: str) -> int:
    # publish() asks for atomic(); inside a transaction begun by hand that is a savepoint of it.
    with transaction.atomic():
        number = lock_and_count(key)
        publish(Counted(id=event_id, counter_id=key, number=number))
    return number


def commit() -> None:
    transaction.commit()
    transaction.set_autocommit(True)


def rollback() -> None:
    transaction.rollback()
    transaction.set_autocommit(True)


def new_relay() -> Relay:
    relay = Relay()
    relay.leases.start()  # its first renewal is a quarter of an hour away: only the machine's steps take time
    return relay


def run_out_of_lease(relay: Relay) -> None:
    """It was paused for too long: the others may take its buckets, and it does not know."""
    RelayWorker.objects.filter(id=relay.id).delete()
    RelayBucket.objects.filter(owner=relay.id).update(expires_at="2020-01-01T00:00Z")


def make_due() -> None:
    ParkedEvent.objects.filter(state=ParkedEvent.State.RETRYING).update(next_attempt_at="2020-01-01T00:00Z")


def clear_tables() -> None:
    for model in (OutboxEvent, InboxEvent, ParkedEvent, HeldKey, RelayBucket, RelayWorker):
        model.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM sample_effect")
        cursor.execute("DELETE FROM proof_counter")
        cursor.executemany("INSERT INTO proof_counter VALUES (%s, %s)", [[k, n * SPAN] for n, k in enumerate(KEYS)])


def producer_of(world: dict[str, Any]) -> Callable[..., RecordingProducer]:
    """What the relay builds instead of a client of Kafka."""
    return lambda *arguments: RecordingProducer(world["broker"], *arguments)


def source_of(world: dict[str, Any]) -> Callable[..., Source]:
    """What the consumer builds instead of a client of Kafka."""
    return lambda *_, **__: Source(world["group"], world["member"])
