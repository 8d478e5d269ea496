"""The processes of a consumer group: each shows that it lives, and learns of those that did not end as they should.

A message whose handler ends its process is delivered to the next one, and would end that too. So after a death the
group is careful: in each partition that was given away since, the messages that the dead process may have held are
stored as attempts before they are made, one at a time. A deadly one is then a parked key like any other and, after
`crash_attempts`, a dead letter.
"""

import os
import socket
import time
from collections.abc import Mapping
from math import inf
from uuid import UUID, uuid4

from django.db import connection

from eventbus import metrics
from eventbus.messages import Message
from eventbus.models import ConsumerWorker

Place = tuple[str, int]  # topic, partition

SILENT_SECONDS = 20.0  # a process not seen for so long is dead; less than the group takes to give its partitions away
REMEMBERED_SECONDS = 600.0  # how long a death is told to those that start later
CAREFUL_SECONDS = 300.0  # a dead process's partitions have come to their new readers by then

SHOW = """
INSERT INTO eventbus_consumerworker (id, "group", host, pid) VALUES (%s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET seen_at = now()
"""
OTHERS = """
SELECT id, host, pid, extract(epoch FROM now() - seen_at)::float FROM eventbus_consumerworker
 WHERE "group" = %s AND id <> %s AND seen_at > now() - %s * interval '1 second'
"""
FORGET = "DELETE FROM eventbus_consumerworker WHERE seen_at < now() - %s * interval '1 second'"


class Crew:
    """One process among those of its group."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.id = uuid4()
        self._host, self._pid = socket.gethostname()[:255], os.getpid()
        self._mourned: set[UUID] = set()

    def show(self) -> float | None:
        """Renew our row; when processes are newly found dead, for how many seconds at most they are."""
        with connection.cursor() as cursor:
            cursor.execute(SHOW, [self.id, self.group, self._host, self._pid])
            cursor.execute(OTHERS, [self.group, self.id, REMEMBERED_SECONDS])
            rows = cursor.fetchall()
        found = {
            key: age
            for key, host, pid, age in rows
            if key not in self._mourned and (age > SILENT_SECONDS or (host == self._host and self._is_gone(pid)))
        }
        self._mourned |= found.keys()
        metrics.consumer_crashes.labels(self.group).inc(len(found))
        return max(found.values(), default=None)

    def leave(self) -> None:
        """Take our row away: this process ends as it should."""
        ConsumerWorker.objects.filter(pk=self.id).delete()
        with connection.cursor() as cursor:
            cursor.execute(FORGET, [REMEMBERED_SECONDS])

    def _is_gone(self, pid: int) -> bool:
        """Whether no process of this host has the number; in a container the next one often gets the same."""
        if pid == self._pid:
            return True
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        return False


class Caution:
    """Which messages are to be handled one at a time, their attempts stored first."""

    def __init__(self, messages: int) -> None:
        self.gained_at: Mapping[Place, float] = {}  # when this process was given each of its partitions
        self._messages = messages  # of each partition: no process held more of them
        self._ends_at = 0.0
        self._died_at = 0.0
        self._left: dict[Place, int] = {}

    def begin(self, *, age: float) -> None:
        """A process died at most so many seconds ago; what this one was given before, the dead one did not hold."""
        now = time.monotonic()
        self._ends_at, self._died_at = now + CAREFUL_SECONDS, now - age
        self._left.clear()

    def asks_for(self, message: Message) -> bool:
        """Whether the dead process may have held this message."""
        if time.monotonic() > self._ends_at:
            return False
        place = (message.topic, message.partition)
        return self.gained_at.get(place, inf) >= self._died_at and self._left.get(place, self._messages) > 0

    def passed(self, message: Message) -> None:
        """This one was new, and did no harm."""
        place = (message.topic, message.partition)
        self._left[place] = self._left.get(place, self._messages) - 1
