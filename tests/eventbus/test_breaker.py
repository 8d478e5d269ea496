"""When handlers fail for too many keys their topic is paused, tried again, and resumed; nothing is dropped."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from eventbus import breaker as breaker_module
from eventbus import parking
from eventbus.breaker import Breaker, resume_topic
from eventbus.exceptions import DomainError, NotYetError
from eventbus.messages import read
from eventbus.models import BreakerRule, OperatorAction, ParkedEvent, PausedTopic
from eventbus.processing import Processor
from tests.eventbus.conftest import message
from tests.eventbus.sample import Counted, Tallied, effects, numbers, troubles

GROUP, TOPIC = "sample-consumer-group", "sample.counted"


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: Any) -> Clock:
    clock = Clock()
    monkeypatch.setattr(breaker_module, "time", clock)
    return clock


@pytest.fixture
def breaker(sample_room: None, clock: Clock) -> Breaker:
    return Breaker(GROUP)


def fail_everything(make: Callable[[], Exception] = lambda: RuntimeError("the gateway is away")) -> None:
    troubles.update(dict.fromkeys(range(1000), make))


def make_due() -> None:
    ParkedEvent.objects.filter(state="retrying").update(next_attempt_at="2020-01-01T00:00Z")


@pytest.mark.parametrize("make", [lambda: RuntimeError("away"), lambda: DomainError("no")])
def test_a_topic_whose_keys_all_fail_is_paused_and_the_rest_is_handed_back(
    clock: Clock, processor: Processor, make: Callable[[], Exception]
) -> None:
    fail_everything(make)
    batch = [message(number=n) for n in range(50)]

    left = processor.process(batch)

    assert left == batch[20:]
    assert ParkedEvent.objects.count() == 20
    assert processor.breaker.paused() == {TOPIC}


def test_other_topics_of_the_batch_go_on(clock: Clock, processor: Processor) -> None:
    fail_everything()
    del troubles[999]
    bad, good = [message(number=n) for n in range(30)], [message(number=999, of=Tallied) for _ in range(5)]

    left = processor.process([*bad, *good])

    assert left == bad[20:]
    assert len(effects()) == 5


def test_a_pause_that_runs_out_in_the_middle_of_a_batch_lets_nothing_overtake(
    clock: Clock, processor: Processor, monkeypatch: Any
) -> None:
    fail_everything()
    del troubles[999]
    bad, slow, late = [message(number=n) for n in range(21)], message(number=999, of=Tallied), message(number=999)
    take = processor._take

    def takes_long(deliveries: Any) -> Any:
        clock.now += 20 if deliveries[0].message is slow else 0
        return take(deliveries)

    monkeypatch.setattr(processor, "_take", takes_long)

    assert processor.process([*bad, slow, late]) == [bad[20], late]

    assert effects() == [(read(slow).event.counter_id, 999)]


def test_unreadable_messages_count(clock: Clock, processor: Processor) -> None:
    processor.process([message(value=b"{", key=str(n).encode()) for n in range(20)])

    assert processor.breaker.paused() == {TOPIC}


def test_one_bad_key_pauses_nothing_however_often_it_fails(breaker: Breaker) -> None:
    for _ in range(100):
        breaker.failed(TOPIC, "one", RuntimeError())

    assert breaker.paused() == set()


def test_waiting_is_no_failure(breaker: Breaker) -> None:
    for n in range(100):
        breaker.failed(TOPIC, str(n), NotYetError())

    assert breaker.paused() == set()


@pytest.mark.parametrize(("works", "is_paused"), [(19, True), (20, False)])
def test_it_takes_more_than_the_share(breaker: Breaker, works: int, *, is_paused: bool) -> None:
    for n in range(works):
        breaker.succeeded(TOPIC, f"good {n}")
    for n in range(20):
        breaker.failed(TOPIC, f"bad {n}", RuntimeError())

    assert (breaker.paused() == {TOPIC}) is is_paused


def test_what_failed_longer_ago_than_the_window_does_not_count(breaker: Breaker, clock: Clock) -> None:
    for n in range(19):
        breaker.failed(TOPIC, str(n), RuntimeError())
    clock.now += 61
    breaker.failed(TOPIC, "another", RuntimeError())

    assert breaker.paused() == set()


def test_a_key_that_works_again_counts_as_working(breaker: Breaker) -> None:
    for n in range(19):
        breaker.failed(TOPIC, str(n), RuntimeError())
    breaker.succeeded(TOPIC, "0")
    breaker.failed(TOPIC, "another", RuntimeError())

    assert breaker.paused() == set()


def test_it_remembers_a_bounded_number_of_keys(breaker: Breaker) -> None:
    for n in range(10_000):
        breaker.succeeded(TOPIC, str(n))

    assert len(breaker._recent[TOPIC]) == breaker_module.KEYS


def paused(breaker: Breaker) -> Breaker:
    for n in range(20):
        breaker.failed(TOPIC, str(n), RuntimeError())
    assert breaker.paused() == {TOPIC}
    breaker.synchronise()
    return breaker


def test_the_first_failure_of_a_trial_pauses_again_and_the_first_success_resumes_for_all(
    breaker: Breaker, clock: Clock
) -> None:
    other = Breaker(GROUP)
    paused(breaker)
    other.synchronise()
    assert other.paused() == {TOPIC}

    clock.now += 16
    assert (breaker.paused(), breaker.known) == (set(), [TOPIC])  # on trial
    breaker.failed(TOPIC, "still", RuntimeError())
    assert breaker.paused() == {TOPIC}

    clock.now += 16
    breaker.succeeded(TOPIC, "works")
    assert breaker.known == []
    assert breaker.has_news
    breaker.synchronise()
    other.synchronise()
    assert other.known == []
    assert not PausedTopic.objects.exists()


def test_what_was_under_way_when_the_topic_was_paused_does_not_resume_it(breaker: Breaker) -> None:
    paused(breaker)

    breaker.succeeded(TOPIC, "late")

    assert breaker.paused() == {TOPIC}


def test_a_restarted_process_obeys_and_a_person_can_resume(breaker: Breaker) -> None:
    paused(breaker)
    restarted = Breaker(GROUP)
    restarted.synchronise()
    assert restarted.paused() == {TOPIC}
    [row] = PausedTopic.objects.all()
    assert row.reason == "20 of 20 keys fail, the last with RuntimeError"

    resume_topic(row, actor="ann", reason="mended")
    resume_topic(row, actor="ann", reason="twice")
    restarted.synchronise()

    assert restarted.paused() == set()
    [action] = OperatorAction.objects.all()
    assert (action.action, action.target, action.reason) == ("resume", f"{GROUP} {TOPIC}", "mended")


def test_the_rule_is_read_while_running(breaker: Breaker) -> None:
    BreakerRule.objects.create(group=GROUP, least_keys=2, share=0.9)
    breaker.synchronise()

    breaker.failed(TOPIC, "1", RuntimeError())
    assert breaker.paused() == set()
    breaker.failed(TOPIC, "2", RuntimeError())
    assert breaker.paused() == {TOPIC}


def test_a_share_of_one_never_pauses(breaker: Breaker) -> None:
    BreakerRule.objects.create(group=GROUP, share=1.0)
    breaker.synchronise()

    for n in range(100):
        breaker.failed(TOPIC, str(n), RuntimeError())

    assert breaker.paused() == set()


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", [{"share": 0}, {"share": 1.1}, {"least_keys": 0}, {"probe_seconds": 0}])
def test_a_rule_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        BreakerRule.objects.create(group=GROUP, **wrong)


def test_parked_events_of_a_paused_topic_keep_their_attempts(clock: Clock, processor: Processor) -> None:
    fail_everything()
    processor.process([message(number=n) for n in range(30)])
    make_due()

    assert processor.retry_due() == 0

    assert set(ParkedEvent.objects.values_list("attempts", flat=True)) == {1}


def test_a_trial_by_retry_costs_one_attempt_while_it_fails_and_resumes_when_it_works(
    clock: Clock, processor: Processor
) -> None:
    fail_everything()
    processor.process([message(number=n) for n in range(30)])
    make_due()
    clock.now += 16

    assert processor.retry_due() == 1
    assert processor.breaker.paused() == {TOPIC}

    troubles.clear()
    make_due()
    clock.now += 16
    assert processor.retry_due() == 20
    assert processor.breaker.known == []


def test_in_the_end_everything_took_effect_in_order(clock: Clock, processor: Processor) -> None:
    fail_everything()
    counters = [uuid4() for _ in range(30)]
    batch = [message(counter, n) for n in (1, 2) for counter in counters]
    left = processor.process(batch)
    assert left

    troubles.clear()
    clock.now += 16
    assert processor.process(left) == []
    make_due()
    processor.retry_due()

    assert [numbers(counter) for counter in counters] == [[1, 2]] * 30
    assert not ParkedEvent.objects.exists()
    assert parking.blocked_keys(GROUP, [(Counted.spec.topic, str(counters[0]))]) == set()
