"""Groups that go on past their dead letters, by `continue_past_dead`: also past those that were dead before."""

from django.db import transaction
from django.db.models import Exists, OuterRef

from eventbus.conf import bus_settings
from eventbus.models import ParkedEvent
from eventbus.parking import lock, promote


def free_followers(group: str) -> int:
    """Let the first event behind each dead letter come up, when the group goes on past them; how many were looked at.

    What dies from now on frees its key by itself; this is for what had queued before the group was named.
    """
    if group not in bus_settings().continue_past_dead:
        return 0
    of_group = ParkedEvent.objects.filter(group=group)
    heads = of_group.filter(topic=OuterRef("topic"), key=OuterRef("key"), state=ParkedEvent.State.RETRYING)
    stranded = of_group.filter(~Exists(heads), state=ParkedEvent.State.QUEUED)
    firsts = list(stranded.order_by("topic", "key", "id").distinct("topic", "key"))
    for first in firsts:
        with transaction.atomic():
            lock(group, first.topic, first.key)
            promote(first)
    return len(firsts)
