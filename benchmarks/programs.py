"""The project's own commands as processes, as in production."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.ground import PROJECT

STOP_SECONDS = 40.0


@contextmanager
def command(*words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`manage.py` with these words, stopped in good order; it must not have ended by itself."""
    process = subprocess.Popen([sys.executable, "manage.py", *words], cwd=PROJECT, env=os.environ)  # noqa: S603 - our own
    try:
        yield process
        if process.poll() is not None:
            raise RuntimeError(f"{' '.join(words)} ended with status {process.returncode}")
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
