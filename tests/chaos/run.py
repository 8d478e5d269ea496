"""One run: writers write, faults strike, everything heals, and the judge looks at what is left."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

from tests.chaos.checker import Verdict, judge
from tests.chaos.faults import KINDS, Fault
from tests.chaos.platform import Platform
from tests.chaos.watch import Trouble, Watch

PATIENCE_SECONDS = 120.0
FAULTS_AT_ONCE = 32


@dataclass(frozen=True)
class Report:
    """What came of it."""

    verdict: Verdict
    troubles: Sequence[Trouble]
    is_settled: bool  # the processes got there by themselves, before anybody drained anything
    crashed: Mapping[str, int] = field(default_factory=dict)  # how often a process of ours ended without being told to

    @property
    def is_good(self) -> bool:
        """Whether all is exact, and the platform recovered from every fault without help."""
        return self.verdict.is_exact and self.is_settled

    def table(self) -> str:
        """The faults survived: kind, times, longest recovery."""
        seconds: dict[str, list[float]] = defaultdict(list)
        for trouble in self.troubles:
            seconds[trouble.fault.row].append(trouble.seconds)
        width = max(map(len, [*seconds, "fault"]))
        lines = [f"{'fault':<{width}}  times  longest recovery"]
        lines += [f"{row:<{width}}  {len(all_):>5}  {max(all_):>14.1f} s" for row, all_ in sorted(seconds.items())]
        lines += [f"{name} ended by itself {times} times" for name, times in self.crashed.items()]
        return "\n".join(lines)


def run(
    platform: Platform,
    faults: Sequence[Fault],
    *,
    seconds: float,
    say: Callable[[str], None],
    lull: float = PATIENCE_SECONDS,
) -> Report:
    """Let the faults happen while writers write for so many seconds; then heal, wait, and judge.

    A platform that has not moved for a lull of so many seconds will not settle by itself any more.
    """
    watch = Watch(platform)
    with watch.looking():
        platform.start_writing()
        watch.wait_for_first_effects(patience=PATIENCE_SECONDS)
        happen(platform, faults, watch, seconds=seconds, say=say)
        platform.stop(*platform.size.writer_names)
        say(f"healed; {watch.committed} events committed, the slowest group {watch.behind} behind")
        is_settled = watch.wait_until_settled(patience=lull)
        say("every group has caught up" if is_settled else f"nothing moved for {lull:g} s: {watch.behind} behind")
    platform.stop(*platform.size.relay_names, *platform.size.consumer_names)
    platform.drain()
    with platform.database() as connection:
        return Report(judge(connection, platform.groups), watch.troubles, is_settled, crashed(platform, watch.troubles))


def crashed(platform: Platform, troubles: Sequence[Trouble]) -> dict[str, int]:
    """Which relays, consumers and writers were started more often than faults had ended them."""
    ended = Counter(trouble.fault.target for trouble in troubles if trouble.fault.kind in {"killed", "stopped"})
    names = [*platform.size.relay_names, *platform.size.consumer_names, *platform.size.writer_names]
    extra = {name: platform.process(name).starts - 1 - ended[name] for name in names}
    return {name: times for name, times in extra.items() if times}


def happen(
    platform: Platform, faults: Sequence[Fault], watch: Watch, *, seconds: float, say: Callable[[str], None]
) -> None:
    """Every fault at its time, and return when the last is healed and the time is over."""
    begun = time.monotonic()
    hands: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def one(fault: Fault) -> None:
        kind = KINDS[fault.kind]
        with ExitStack() as held:
            for touched in sorted(fault.touches(platform)):
                held.enter_context(hands[touched])
            watch.struck(fault)
            kind.strike(platform, fault.target)
            state = f"{watch.committed} events committed, {watch.behind} behind"
            say(f"{time.monotonic() - begun:7.1f} s  {fault!s:<44} {state}")
            time.sleep(fault.lasts)
            kind.heal(platform, fault.target)

    with ThreadPoolExecutor(FAULTS_AT_ONCE) as pool:
        under_way = []
        for fault in faults:
            time.sleep(max(0.0, begun + fault.at - time.monotonic()))
            under_way.append(pool.submit(one, fault))
        time.sleep(max(0.0, begun + seconds - time.monotonic()))
        for happened in under_way:
            happened.result()
