"""Several works at the same moment, as several requests or processes do them."""

from collections.abc import Callable
from threading import Barrier, Thread

from django.db import connection

PATIENCE_SECONDS = 120  # a loaded machine is slow, and a deadlock must show as one


def at_once(*works: Callable[[], object]) -> list[object]:
    """Each in a thread and on a connection of its own, all released together; their results or errors in order."""
    barrier = Barrier(len(works), timeout=PATIENCE_SECONDS)
    outcomes: list[object] = [TimeoutError("still at work")] * len(works)

    def run(place: int) -> None:
        try:
            barrier.wait()
            outcomes[place] = works[place]()
        except Exception as error:
            outcomes[place] = error
        finally:
            connection.close()

    threads = [Thread(target=run, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=PATIENCE_SECONDS)
    return outcomes


def succeed_at_once(*works: Callable[[], object]) -> None:
    """The same for works of which none may fail."""
    assert [outcome for outcome in at_once(*works) if isinstance(outcome, Exception)] == []
