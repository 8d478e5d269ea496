"""What a replay would step over: an earlier event of a key that its group has not handled, and that was not chosen.

A group that lags comes to it later, and would hear the key's events in the wrong order. What was chosen is handed over
in its order and then handled, or parked with its key; so only what the choice leaves out can be stepped over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from eventbus.conf import bus_settings
from eventbus.journal.partitions import TABLE
from eventbus.messages import Delivery
from eventbus.replay.choice import Choice

# A message that nobody could read was claimed by its place, whatever the journal could read of it.
STEPPED_OVER = f"""
SELECT e.topic, e.partition, e."offset", e.time
  FROM unnest(%s::text[], %s::text[], %s::int[], %s::bigint[]) AS next(topic, key, partition, "offset")
  JOIN {TABLE} e
    ON e.key = next.key AND e.topic = next.topic AND e.partition = next.partition AND e."offset" < next."offset"
 WHERE NOT (e.time >= coalesce(%s::timestamptz, '-infinity') AND e.time < coalesce(%s::timestamptz, 'infinity')
            AND (%s::text[] = '{{}}' OR e.event_id = ANY (%s::text[])))
   AND e.recorded_at > now() - %s * interval '1 day'
   AND NOT EXISTS (
       SELECT FROM eventbus_inboxevent i
        WHERE i."group" = %s AND i.event_id IN (e.event_id, e.topic || ':' || e.partition || ':' || e."offset"))
 ORDER BY e.id LIMIT 1
"""  # noqa: S608 - our own table's name


@dataclass(frozen=True, slots=True)
class SteppedOver:
    """The first of them; `time` is the message's own."""

    place: str
    time: datetime
    group: str

    def __str__(self) -> str:
        return (
            f"{self.place} of {self.time.isoformat()} comes before what was chosen of its key, and {self.group} has not"
            " handled it: wait until the group has caught up (bus_status), or choose it too, with an earlier --since"
            " or its --event"
        )


def stepped_over(group: str, choice: Choice, new: Sequence[Delivery]) -> SteppedOver | None:
    """What the choice leaves out before these messages, which the group has not handled, by the journal."""
    if not new or not (choice.since or choice.until or choice.event_ids):
        return None
    last: dict[tuple[str, str, int], int] = {}
    for delivery in new:
        place = (delivery.message.topic, delivery.key, delivery.message.partition)
        last[place] = max(delivery.message.offset, last.get(place, -1))
    columns = [list(column) for column in zip(*((*place, offset) for place, offset in last.items()), strict=True)]
    ids, days = list(choice.event_ids), bus_settings().inbox_retention_days
    with connection.cursor() as cursor:
        cursor.execute(STEPPED_OVER, [*columns, choice.since, choice.until, ids, ids, days, group])
        found = cursor.fetchone()
    if found is None:
        return None
    topic, partition, offset, time = found
    return SteppedOver(f"{topic}:{partition}:{offset}", time, group)
