"""One readable stream out of many processes: time, coloured name, line."""

import os
import threading
import time
from typing import TextIO

COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)


class Output:
    """Write each line under the name of its process; without a stream, write nothing."""

    def __init__(self, stream: TextIO | None = None, *, width: int = 10) -> None:
        self._stream = stream
        self._width = width
        self._coloured = stream is not None and stream.isatty() and "NO_COLOR" not in os.environ
        self._colours: dict[str, int] = {}
        self._lock = threading.Lock()

    def write(self, name: str, line: str) -> None:
        """Write one line of the named process."""
        if self._stream is None:
            return
        with self._lock:
            prefix = f"{time.strftime('%H:%M:%S')} {name:<{self._width}} |"
            try:
                self._stream.write(f"{self._paint(name, prefix)} {line}\n")
                self._stream.flush()
            except (OSError, ValueError):
                # The reader of our output is gone; that is no reason to stop the processes.
                self._stream = None

    def _paint(self, name: str, prefix: str) -> str:
        if not self._coloured:
            return prefix
        colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        return f"\033[{colour}m{prefix}\033[0m"
