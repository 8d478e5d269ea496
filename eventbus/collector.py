"""How often Python looks for cycles of garbage in a process that shall not be stopped by it."""

import gc

NEW_OBJECTS = 10_000  # more than a batch's at a time; Python's own 700 are reached after some sixty rows


def collect_rarely() -> None:
    """Let the cycle collector look less often, and never again at what was loaded until now.

    What a batch or a request makes is freed by its reference counts. The collector went through all of it, and through
    Django's classes: a quarter of a relay's time, and now and then three times what a page of a list takes. Cycles, as
    exceptions make them, are still found.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 10, 10)
