"""How often Python looks for cycles of garbage in a process that handles thousands of messages a second."""

import gc

NEW_OBJECTS = 10_000  # more than a batch's at a time; Python's own 700 are reached after some sixty rows


def collect_rarely() -> None:
    """Let the cycle collector look less often, and never again at what was loaded until now.

    What a batch makes is freed by its reference counts. The collector went through all of it, and through Django's
    classes, several times a batch: a quarter of a relay's time. Cycles, as exceptions make them, are still found.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 10, 10)
