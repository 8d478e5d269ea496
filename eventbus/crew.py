"""The processes of a consumer group: each shows that it lives, and learns of those that did not end as they should.

A message whose handler ends its process is delivered to the next one, and would end that too. So after a death the
group is careful: in each partition the messages that the dead process may have held are stored as attempts before they
are made, one at a time. A deadly one is then a parked key like any other and, after `crash_attempts`, a dead letter.
"""

import os
import socket
import time
from uuid import UUID, uuid4

from django.db import connection

from eventbus import metrics
from eventbus.messages import Message
from eventbus.models import ConsumerWorker

SILENT_SECONDS = 20.0  # a process not seen for so long is dead; less than the group takes to give its partitions away
REMEMBERED_SECONDS = 600.0  # how long a death is told to those that start later
CAREFUL_SECONDS = 300.0  # a dead process's partitions have come to their new readers by then

SHOW = """
INSERT INTO eventbus_consumerworker (id, "group", host, pid) VALUES (%s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET seen_at = now()
"""
OTHERS = """
SELECT id, host, pid, seen_at < now() - %s * interval '1 second' FROM eventbus_consumerworker
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

    def show(self) -> bool:
        """Renew our row; whether a process of the group is found dead that was not known to be."""
        with connection.cursor() as cursor:
            cursor.execute(SHOW, [self.id, self.group, self._host, self._pid])
            cursor.execute(OTHERS, [SILENT_SECONDS, self.group, self.id, REMEMBERED_SECONDS])
            rows = cursor.fetchall()
        dead = {key for key, host, pid, silent in rows if silent or (host == self._host and self._is_gone(pid))}
        found = dead - self._mourned
        self._mourned |= found
        metrics.consumer_crashes.labels(self.group).inc(len(found))
        return bool(found)

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
        self._messages = messages  # of each partition: no process held more of them
        self._ends_at = 0.0
        self._left: dict[tuple[str, int], int] = {}

    def begin(self) -> None:
        """A process died."""
        self._ends_at = time.monotonic() + CAREFUL_SECONDS
        self._left.clear()

    def asks_for(self, message: Message) -> bool:
        """Whether the dead process may have held this message."""
        if time.monotonic() > self._ends_at:
            return False
        return self._left.get((message.topic, message.partition), self._messages) > 0

    def passed(self, message: Message) -> None:
        """This one was new, and did no harm."""
        place = (message.topic, message.partition)
        self._left[place] = self._left.get(place, self._messages) - 1
