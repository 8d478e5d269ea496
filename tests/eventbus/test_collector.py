"""Python's cycle collector in a process that moves messages."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from eventbus.collector import NEW_OBJECTS, collect_rarely


class Knot:
    """An object that holds itself, as an exception holds its frames."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def rare() -> Iterator[None]:
    thresholds = gc.get_threshold()
    collect_rarely()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest.mark.usefixtures("rare")
def test_what_was_loaded_is_not_looked_at_again() -> None:
    assert gc.get_freeze_count() > NEW_OBJECTS


@pytest.mark.usefixtures("rare")
def test_a_batch_is_not_looked_through_and_cycles_are_still_found() -> None:
    knot = weakref.ref(Knot())
    batch: list[list[int]] = [[] for _ in range(NEW_OBJECTS // 2)]
    assert knot() is not None

    batch += [[] for _ in range(NEW_OBJECTS)]
    assert knot() is None
    assert len(batch) == NEW_OBJECTS // 2 + NEW_OBJECTS
