"""End what a killed process manager left behind.

Run as a file (`python -I -S guardian.py GRACE_SECONDS`): it reads `add GROUP` and `remove GROUP` lines from its
manager. The end of that stream means that the manager is gone, however it died; whatever process groups are still on
the list are then terminated, and killed when they take longer than the grace time. The kernel's parent death signal
(launch.py) cannot do this alone: it reaches direct children only, and a child may ignore it.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable

POLL_SECONDS = 0.1


def read_groups(lines: Iterable[str]) -> set[int]:
    """Follow the manager until it goes; return the process groups that it did not see end."""
    groups: set[int] = set()
    for line in lines:
        verb, group = line.split()
        if verb == "add":
            groups.add(int(group))
        else:
            groups.discard(int(group))
    return groups


def send(group: int, signal_number: int) -> bool:
    """Signal a process group; false when nobody is left in it."""
    try:
        os.killpg(group, signal_number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def end(groups: set[int], *, grace_seconds: float) -> None:
    """Terminate these groups, then kill those that are still there after the grace time."""
    for group in groups:
        send(group, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while time.monotonic() < deadline and any(send(group, 0) for group in groups):
        time.sleep(POLL_SECONDS)
    for group in groups:
        send(group, signal.SIGKILL)


def main() -> None:
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, signal.SIG_IGN)
    end(read_groups(sys.stdin), grace_seconds=float(sys.argv[1]))


if __name__ == "__main__":
    main()
