"""Which relay publishes which buckets: leases in the database, renewed on a thread of their own, shared out fairly.

A relay is known by a row it renews; the buckets are divided by the number of living rows. A relay that holds more than
its share gives buckets back between rounds, when nothing of theirs is in flight. Every change of owner raises the
bucket's epoch; finishing rows checks owner and epoch, so a relay that was away too long can finish nothing. Times are
the database's; locally a lease is believed for less than it lasts, counted from before the renewal was asked for.
"""

import logging
import math
import threading
import time
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection

from eventbus.conf import bus_settings
from eventbus.models import OutboxEvent, RelayBucket
from eventbus.processing import DatabaseUnavailableError, bookkept

logger = logging.getLogger(__name__)

BALANCE_SECONDS = 1.0
SAFETY = 0.8  # the part of a lease's duration during which its owner believes in it

REGISTER = """
INSERT INTO eventbus_relayworker (id, host, pid, expires_at) VALUES (%s, %s, %s, now() + %s * interval '1 second')
ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at
"""
RENEW = """
UPDATE eventbus_relaybucket SET expires_at = now() + %s * interval '1 second' WHERE owner = %s AND expires_at > now()
RETURNING bucket, epoch
"""
ACQUIRE = """
UPDATE eventbus_relaybucket SET owner = %s, epoch = epoch + 1, expires_at = now() + %s * interval '1 second'
 WHERE bucket IN (SELECT bucket FROM eventbus_relaybucket WHERE owner IS NULL OR expires_at <= now()
                   ORDER BY bucket LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING bucket, epoch
"""
RELEASE = """
UPDATE eventbus_relaybucket SET owner = NULL, expires_at = NULL WHERE owner = %s AND bucket = ANY(%s)
"""
LIVING = "SELECT count(*) FROM eventbus_relayworker WHERE expires_at > now()"
FORGET = "DELETE FROM eventbus_relayworker WHERE id = %s OR expires_at < now() - interval '1 day'"


class Trouble:
    """Says that something is away once, and once that it is back."""

    def __init__(self, who: str, what: str) -> None:
        self.who, self.what, self.said = who, what, False

    def is_down(self, reason: str) -> None:
        """It does not work now."""
        if not self.said:
            logger.warning(
                "%s: waiting for %s: %s", self.who, self.what, reason.strip().splitlines()[0] if reason else ""
            )
        self.said = True

    def is_up(self) -> None:
        """It works."""
        if self.said:
            logger.info("%s: %s is back", self.who, self.what)
        self.said = False


class Leases:
    """The buckets of one relay."""

    def __init__(self, *, owner: UUID, host: str, pid: int) -> None:
        self.owner, self.host, self.pid = owner, host, pid
        self.duration = bus_settings().lease_seconds
        self.trouble = Trouble("relay", "the database")
        self._held: dict[int, tuple[int, float]] = {}  # bucket: (epoch, believed until, on the monotonic clock)
        self._mutex = threading.Lock()
        self._closing = threading.Event()
        self._balanced_at = -math.inf
        self._thread = threading.Thread(target=self._renew_until_closed, name="relay-leases", daemon=True)

    def start(self) -> None:
        """Begin to renew what balance() will take."""
        self._thread.start()

    def held(self) -> dict[int, int]:
        """The buckets that are surely ours now, with their epochs."""
        now = time.monotonic()
        with self._mutex:
            return {bucket: epoch for bucket, (epoch, until) in self._held.items() if until > now}

    def balance(self) -> None:
        """Take or give back buckets until this relay has its share; call it only while nothing is in flight."""
        if time.monotonic() - self._balanced_at < BALANCE_SECONDS:
            return
        bookkept(self._balance)
        self._balanced_at = time.monotonic()
        self.trouble.is_up()

    def close(self) -> None:
        """Stop renewing and give every bucket back."""
        self._closing.set()
        self._thread.join(timeout=5)
        try:
            bookkept(lambda: self._execute(RELEASE, [self.owner, list(self._held)]))
            bookkept(lambda: self._execute(FORGET, [self.owner]))
        except DatabaseUnavailableError:
            logger.warning("relay: the database is away; the leases run out by themselves in %g s", self.duration)
        self._held.clear()

    def _balance(self) -> None:
        ensure_buckets()
        self._execute(REGISTER, [self.owner, self.host, self.pid, self.duration])
        [(living,)] = self._execute(LIVING)
        share = math.ceil(bus_settings().buckets / max(1, living))
        held = self.held()
        if len(held) > share:
            extra = sorted(held)[share:]
            with self._mutex:
                for bucket in extra:
                    self._held.pop(bucket, None)
            self._execute(RELEASE, [self.owner, extra])
        elif len(held) < share:
            asked_at = time.monotonic()
            acquired = self._execute(ACQUIRE, [self.owner, self.duration, share - len(held)])
            with self._mutex:
                self._believe(acquired, asked_at)

    def _renew_until_closed(self) -> None:
        try:
            while not self._closing.wait(self.duration / 4):
                try:
                    bookkept(self._renew)
                except DatabaseUnavailableError:
                    continue  # the main loop meets the same trouble and says it
                except DatabaseError as error:  # no reason never to renew again
                    reason = str(error).partition("\n")[0]
                    logger.warning("relay: the leases were not renewed, the next time is soon: %s", reason)
        finally:
            connection.close()

    def _renew(self) -> None:
        asked_at = time.monotonic()
        self._execute(REGISTER, [self.owner, self.host, self.pid, self.duration])
        renewed = self._execute(RENEW, [self.duration, self.owner])
        with self._mutex:  # what balance() gives back meanwhile must not be believed again
            self._believe([(bucket, epoch) for bucket, epoch in renewed if bucket in self._held], asked_at)

    def _believe(self, rows: Iterable[tuple[int, ...]], asked_at: float) -> None:
        for bucket, epoch in rows:
            self._held[bucket] = (epoch, asked_at + self.duration * SAFETY)

    def _execute(self, sql: str, parameters: list[Any] | None = None) -> list[tuple[int, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else []


def ensure_buckets() -> None:
    """Make the bucket rows agree with the setting; refuses while waiting events were divided by another number."""
    wanted = bus_settings().buckets
    existing = set(RelayBucket.objects.values_list("bucket", flat=True))
    if existing == set(range(wanted)):
        return
    if existing and OutboxEvent.objects.exists():
        raise ImproperlyConfigured(
            f"EVENTBUS['buckets'] is {wanted}, but the waiting events were divided into {len(existing)}: "
            "set it back, let `relay_outbox --once` empty the outbox while nothing writes, then change it"
        )
    RelayBucket.objects.filter(bucket__gte=wanted).delete()
    RelayBucket.objects.bulk_create([RelayBucket(bucket=n) for n in range(wanted)], ignore_conflicts=True)
