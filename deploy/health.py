"""Whether the process of this container does its work; exit status 1 and one line when it does not.

python deploy/health.py web | relay | consumers | beat
"""

import os
import socket
import sys
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psycopg

WEB_PORT = 8000
HTTP_OK = 200
ROOMS = ("subscriptions", "payments", "content", "media")
BEAT_SCHEDULE = Path("/tmp/beat-schedule")  # noqa: S108 - where docker-compose.yml tells beat to keep it
BEAT_SECONDS = 600.0  # beat writes its schedule down every 180 s


def web() -> str:
    """Why requests cannot be served; empty when they can."""
    web_process = HTTPConnection("127.0.0.1", WEB_PORT, timeout=5)
    try:
        web_process.request("GET", "/readyz", headers={"Host": allowed_host()})
        answer = web_process.getresponse()
        return "" if answer.status == HTTP_OK else f"/readyz answers {answer.status}"
    except (OSError, HTTPException) as error:
        return f"no answer: {error}"
    finally:
        web_process.close()


def allowed_host() -> str:
    """A host name that the web process accepts."""
    first = os.environ.get("ALLOWED_HOSTS", "").split(",")[0].strip().lstrip(".*")
    return first or "localhost"


def relay() -> str:
    """Why the outbox of this container is not looked after; a relay that works renews its row."""
    question = "SELECT 1 FROM eventbus_relayworker WHERE host = %s AND expires_at > now()"
    try:
        with psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=5) as database:
            found = database.execute(question, [socket.gethostname()]).fetchone()
    except psycopg.Error as error:
        return f"the database does not answer: {error}"
    return "" if found else "the relay has not renewed its lease"


def consumers() -> str:
    """Why a room is not consumed for: its process is missing below the supervisor."""
    commands = [command for file in Path("/proc").glob("[0-9]*/cmdline") if (command := words_of(file))]
    running = {command[-1] for command in commands if "run_consumers" in command}
    readers = (*ROOMS, "journal") if is_true(os.environ.get("EVENTBUS_JOURNAL", "")) else ROOMS
    missing = [reader for reader in readers if reader not in running]
    return f"no consumer for {', '.join(missing)}" if missing else ""


def is_true(value: str) -> bool:
    """Whether the settings take this variable for a yes."""
    word = value.strip().lower()
    return int(word) != 0 if word.isdecimal() else word in {"true", "on", "ok", "y", "yes"}


def words_of(file: Path) -> list[str]:
    """A process's command line; nothing when it has just ended."""
    try:
        return file.read_text().rstrip("\0").split("\0")
    except OSError:
        return []


def beat() -> str:
    """Why the clock stands still: its schedule has not been written down for a while."""
    written = [file.stat().st_mtime for file in BEAT_SCHEDULE.parent.glob(f"{BEAT_SCHEDULE.name}*")]
    if not written:
        return "beat has written no schedule"
    age = time.time() - max(written)
    return "" if age < BEAT_SECONDS else f"beat wrote its schedule {age:.0f} s ago"


CHECKS = {"web": web, "relay": relay, "consumers": consumers, "beat": beat}

if __name__ == "__main__":
    sys.exit(CHECKS[sys.argv[1]]() or 0)
