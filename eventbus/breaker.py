"""The breaker: a topic whose handlers fail for too many keys is paused, instead of being parked key by key.

Which topics of a group are paused stands in the database, so that every process of the group obeys and a restart does
not forget. Each tries a paused topic again by itself, after `probe_seconds`: the first message or retry that fails
pauses it for as long again, the first that succeeds resumes it for all. NotYetError is no failure, it is waiting.
"""

import logging
import time
from collections import OrderedDict

from django.db import transaction

from eventbus import metrics
from eventbus.exceptions import NotYetError
from eventbus.models import BreakerRule, OperatorAction, PausedTopic

logger = logging.getLogger(__name__)

KEYS = 200  # of each topic, those handled last


class Breaker:
    """What one process knows of a group's topics; `synchronise()` is the only one who asks the database."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.rule = BreakerRule(group=group)
        self._recent: dict[str, OrderedDict[str, tuple[float, bool]]] = {}  # topic: key: (when, whether it failed)
        self._tried_at: dict[str, float] = {}  # paused topic: when it is tried again
        self._reasons: dict[str, str] = {}  # of topics paused here that the database does not know yet
        self._resumed: set[str] = set()  # topics resumed here that the database still calls paused

    @property
    def has_news(self) -> bool:
        """Whether this process decided something that the others do not know."""
        return bool(self._reasons or self._resumed)

    @property
    def known(self) -> list[str]:
        """The topics that are paused or on trial."""
        return sorted(self._tried_at)

    def paused(self) -> set[str]:
        """The topics that are not to be read now; one that is on trial is."""
        if not self._tried_at:
            return set()
        now = time.monotonic()
        return {topic for topic, tried_at in self._tried_at.items() if now < tried_at}

    def succeeded(self, topic: str, key: str) -> None:
        """A handler's work for this key was committed."""
        self._note(topic, key, (time.monotonic(), False))
        if topic in self._tried_at and topic not in self.paused():
            self._resume(topic, "it works again")
            self._resumed.add(topic)

    def failed(self, topic: str, key: str, error: Exception) -> None:
        """A handler failed for this key; pauses the topic when that is one too many."""
        if isinstance(error, NotYetError):
            return
        self._note(topic, key, (time.monotonic(), True))
        if topic in self._tried_at:
            self._tried_at[topic] = time.monotonic() + self.rule.probe_seconds
            return
        failing, seen = self._counted(topic)
        if failing >= self.rule.least_keys and failing > self.rule.share * seen:
            self._reasons[topic] = f"{failing} of {seen} keys fail, the last with {type(error).__name__}"
            self._pause(topic, self._reasons[topic])

    def synchronise(self) -> None:
        """Tell the database what was decided here, and learn the rule and what others, or a person, decided."""
        self.rule = BreakerRule.objects.filter(group=self.group).first() or BreakerRule(group=self.group)
        news = [PausedTopic(group=self.group, topic=topic, reason=reason) for topic, reason in self._reasons.items()]
        if news:
            PausedTopic.objects.bulk_create(news, ignore_conflicts=True)
        if self._resumed:
            PausedTopic.objects.filter(group=self.group, topic__in=self._resumed).delete()
        self._reasons.clear()
        self._resumed.clear()
        stored = dict(PausedTopic.objects.filter(group=self.group).values_list("topic", "reason"))
        for topic in stored.keys() - self._tried_at.keys():
            self._pause(topic, stored[topic])
        for topic in self._tried_at.keys() - stored.keys():
            self._resume(topic, "another process or a person said so")

    def _note(self, topic: str, key: str, seen: tuple[float, bool]) -> None:
        recent = self._recent.setdefault(topic, OrderedDict())
        recent[key] = seen
        recent.move_to_end(key)
        if len(recent) > KEYS:
            recent.popitem(last=False)

    def _counted(self, topic: str) -> tuple[int, int]:
        """How many of the topic's keys failed last in the window, and how many were handled in it."""
        since = time.monotonic() - self.rule.window_seconds
        outcomes = [is_failed for at, is_failed in self._recent[topic].values() if at >= since]
        return sum(outcomes), len(outcomes)

    def _pause(self, topic: str, reason: str) -> None:
        self._tried_at[topic] = time.monotonic() + self.rule.probe_seconds
        metrics.paused_topics.labels(self.group, topic).set(1)
        logger.error("%s: %s is paused: %s", self.group, topic, reason)

    def _resume(self, topic: str, why: str) -> None:
        del self._tried_at[topic]
        self._reasons.pop(topic, None)
        self._recent.pop(topic, None)
        metrics.paused_topics.labels(self.group, topic).set(0)
        logger.warning("%s: %s is read again: %s", self.group, topic, why)


@transaction.atomic
def resume_topic(paused: PausedTopic, *, actor: str, reason: str = "") -> None:
    """Let all of a group read a topic again, at once; it is paused again if its handlers still fail."""
    gone, _ = PausedTopic.objects.filter(pk=paused.pk).delete()
    if gone:
        target = f"{paused.group} {paused.topic}"
        OperatorAction.objects.create(action=OperatorAction.Action.RESUME, actor=actor, target=target, reason=reason)
