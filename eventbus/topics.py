"""The topics as code: what each event needs, what the cluster has, and how to get from one to the other."""

import time
from dataclasses import dataclass

from eventbus.conf import JOURNAL, bus_settings
from eventbus.dead_letters import dead_letter_topic
from eventbus.events import registered
from eventbus.exceptions import BrokerUnavailableError
from eventbus.handlers import handlers_of
from eventbus.kafka.admin import Cluster
from eventbus.outbox import topic_of

DAY_MS = 24 * 3600 * 1000
VISIBLE_SECONDS = 15.0
DEAD_LETTER_DAYS = 30
MOVE_REPLICAS = "add them with kafka-reassign-partitions, which moves data between brokers"


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """How one topic should be."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]

    def __str__(self) -> str:
        settings = " ".join(f"{name}={value}" for name, value in sorted(self.config.items()))
        return f"{self.partitions} partitions, {self.replication} replicas, {settings}"


@dataclass(frozen=True, slots=True)
class TopicChange:
    """One difference between plan and cluster; `refused` says why it is left to a person."""

    topic: str
    what: str
    refused: bool = False


def topics_of(reader: str) -> list[str]:
    """The topics that a reader reads: those its room handles, or all of them for the journal."""
    event_types = registered() if reader == JOURNAL else handlers_of(reader)
    return [bus_settings().topic_prefix + event_type for event_type in sorted(event_types)]


def topic_plans() -> list[TopicPlan]:
    """A plan for every registered event, all with the same number of partitions, and for its dead letters."""
    partitions = bus_settings().partitions
    plans = []
    for _, spec in sorted(registered().items()):
        name = topic_of(spec)
        plans.append(_plan(name, partitions=partitions, retention_days=spec.retention_days))
        plans.append(_plan(dead_letter_topic(name), partitions=1, retention_days=DEAD_LETTER_DAYS))
    return plans


def _plan(name: str, *, partitions: int, retention_days: int) -> TopicPlan:
    settings = bus_settings()
    config = {
        "cleanup.policy": "delete",
        "retention.ms": str(retention_days * DAY_MS),
        "min.insync.replicas": str(settings.min_insync_replicas),
    }
    return TopicPlan(name=name, partitions=partitions, replication=settings.replication_factor, config=config)


def sync_topics(cluster: Cluster, *, apply: bool) -> list[TopicChange]:
    """Create what is missing, grow what is too small, set what differs; only report it unless `apply`.

    Never shrinks or deletes, and moves no replicas. A broker that cannot answer questions about settings has only its
    partitions and replicas compared.
    """
    existing, copies, brokers = cluster.partitions(), cluster.replicas(), cluster.node_count()
    changes: list[TopicChange] = []
    created: set[str] = set()
    for plan in topic_plans():
        have = existing.get(plan.name)
        if have is not None:
            changes += _adjust(cluster, plan, have, apply=apply)
            if copies[plan.name] < plan.replication:
                what = f"has {copies[plan.name]} replicas, the plan says {plan.replication}: {MOVE_REPLICAS}"
                changes.append(TopicChange(plan.name, what, refused=True))
        elif brokers < plan.replication:
            what = f"cannot be created with {plan.replication} replicas: each needs a broker, and {brokers} are there"
            changes.append(TopicChange(plan.name, what, refused=True))
        else:
            changes.append(TopicChange(plan.name, f"create with {plan}"))
            created.add(plan.name)
            if apply:
                cluster.create_topic(
                    plan.name, partitions=plan.partitions, replication=plan.replication, config=plan.config
                )
    if apply:
        _wait_until_visible(cluster, created)
    return changes


def _wait_until_visible(cluster: Cluster, created: set[str]) -> None:
    """Creation is answered before every broker knows the topic; go on when it can be used."""
    deadline = time.monotonic() + VISIBLE_SECONDS
    while not created <= cluster.partitions().keys():
        if time.monotonic() > deadline:
            raise BrokerUnavailableError(f"created topics are still not visible after {VISIBLE_SECONDS:g} s")
        time.sleep(0.1)


def _adjust(cluster: Cluster, plan: TopicPlan, have: int, *, apply: bool) -> list[TopicChange]:
    changes = []
    if have > plan.partitions:
        what = f"has {have} partitions, the plan says {plan.partitions}: partitions cannot be taken away"
        changes.append(TopicChange(plan.name, what, refused=True))
    elif have < plan.partitions:
        changes.append(TopicChange(plan.name, f"grow from {have} to {plan.partitions} partitions"))
        if apply:
            cluster.grow_topic(plan.name, partitions=plan.partitions)
    current = cluster.topic_config(plan.name)
    differing = {name: value for name, value in plan.config.items() if current and current.get(name) != value}
    for name, value in sorted(differing.items()):
        changes.append(TopicChange(plan.name, f"set {name} from {current.get(name)} to {value}"))
    if differing and apply:
        cluster.configure_topic(plan.name, differing)
    return changes
