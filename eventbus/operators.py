"""What a person may do to a key on its way out: hold it, let it go on, or take its next event out of its way.

Each act leaves an audit row. Relays respect a hold from their next round on; what they are sending then still goes.
"""

from django.db import transaction

from eventbus.dead_letters import SUFFIX
from eventbus.events import registered
from eventbus.exceptions import DomainError
from eventbus.models import HeldKey, OperatorAction, OutboxEvent
from eventbus.outbox import topic_of


@transaction.atomic
def hold_key(*, topic: str, key: str, actor: str, reason: str) -> HeldKey:
    """Let no event of this key out until it is released; raises DomainError when there is no such topic."""
    known = {topic_of(spec) for spec in registered().values()}
    if topic.removesuffix(SUFFIX) not in known:
        raise DomainError(f"No event is published on {topic}; its name must be whole, with KAFKA_TOPIC_PREFIX")
    held, is_new = HeldKey.objects.get_or_create(topic=topic, key=key, defaults={"reason": reason})
    if is_new:
        _audit(OperatorAction.Action.HOLD, held, actor=actor, reason=reason)
    return held


@transaction.atomic
def release_key(held: HeldKey, *, actor: str, reason: str = "") -> None:
    """Let the relay go on with this key, the refused event first, if there is one."""
    if _still_held(held):
        _audit(OperatorAction.Action.RELEASE, held, actor=actor, reason=reason)
        held.delete()


@transaction.atomic
def skip_event(held: HeldKey, *, actor: str, reason: str) -> None:
    """Take the event that the key waits with out of the outbox for ever, and let the key go on."""
    if _still_held(held):
        event = _first_event(held)
        held.outbox_id = None if event is None else event.pk
        _audit(OperatorAction.Action.SKIP, held, actor=actor, reason=reason)
        if event is not None:
            event.delete()
        held.delete()


def _still_held(held: HeldKey) -> bool:
    """Whether nobody else has released or skipped it meanwhile; locks it."""
    return HeldKey.objects.select_for_update().filter(pk=held.pk).exists()


def _first_event(held: HeldKey) -> OutboxEvent | None:
    """The refused one; the first that waits when a person holds the key."""
    waiting = OutboxEvent.objects.filter(topic=held.topic, key=held.key).order_by("id")
    return waiting.first() if held.outbox_id is None else waiting.filter(pk=held.outbox_id).first()


def _audit(action: OperatorAction.Action, held: HeldKey, *, actor: str, reason: str) -> None:
    event = f"outbox {held.outbox_id}" if held.outbox_id else "no event"
    OperatorAction.objects.create(action=action, actor=actor, target=f"{held.topic} {held.key} {event}", reason=reason)
