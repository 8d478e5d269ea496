"""What a person may do to a key that the broker refuses; each act leaves an audit row."""

from django.db import transaction

from eventbus.models import HeldKey, OperatorAction, OutboxEvent


@transaction.atomic
def release_key(held: HeldKey, *, actor: str, reason: str = "") -> None:
    """Let the relay try the refused event again, with everything of its key behind it."""
    if _still_held(held):
        _audit(OperatorAction.Action.RELEASE, held, actor=actor, reason=reason)
        held.delete()


@transaction.atomic
def skip_event(held: HeldKey, *, actor: str, reason: str) -> None:
    """Take the refused event out of the outbox for ever, and let its key go on."""
    if _still_held(held):
        _audit(OperatorAction.Action.SKIP, held, actor=actor, reason=reason)
        OutboxEvent.objects.filter(pk=held.outbox_id).delete()
        held.delete()


def _still_held(held: HeldKey) -> bool:
    """Whether nobody else has released or skipped it meanwhile; locks it."""
    return HeldKey.objects.select_for_update().filter(pk=held.pk).exists()


def _audit(action: OperatorAction.Action, held: HeldKey, *, actor: str, reason: str) -> None:
    target = f"{held.topic} {held.key} outbox {held.outbox_id}"
    OperatorAction.objects.create(action=action, actor=actor, target=target, reason=reason)
