"""Webhooks: checked, stored, answered; then handled once by a worker that asks the gateway what is true.

The body is a hint. Whoever could forge one would make us ask the gateway a question, and nothing else.
"""

import logging
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from payments.exceptions import LivemodeMismatchError, UnknownPaymentError, WebhookOffError
from payments.gateways.base import AboutDispute, AboutPayment, AboutRefund, ActionRequired, Gateway
from payments.gateways.registry import gateway_named
from payments.models.orders import PaymentAttempt
from payments.models.refunds import Refund
from payments.models.webhooks import GatewayEvent
from payments.services.background import HANDLE, soon
from payments.services.disputes import follow_dispute
from payments.services.outcomes import record_outcome
from payments.services.refunds import record_refund

ATTEMPTS = 20  # with the delays below, some three days: as long as gateways send again
FIRST_DELAY = timedelta(seconds=30)
LONGEST_DELAY = timedelta(hours=6)
KEPT = timedelta(days=90)

logger = logging.getLogger(__name__)


def receive_webhook(*, gateway: str, raw: bytes, headers: Mapping[str, str]) -> bool:
    """Check and store what a gateway tells, once; False when it was stored before."""
    teller = open_gateway(gateway)
    notice = teller.read_webhook(raw, headers)
    if notice.livemode != teller.livemode:
        raise LivemodeMismatchError
    return store(
        GatewayEvent(
            gateway=gateway,
            external_id=notice.external_id,
            type=notice.type,
            payload=notice.payload,
            livemode=notice.livemode,
        )
    )


def open_gateway(name: str) -> Gateway:
    """The gateway, if it may be used here and has a secret to check its webhooks by; raises WebhookOffError."""
    try:
        gateway = gateway_named(name)
    except ImproperlyConfigured as error:
        raise WebhookOffError from error
    if not gateway.webhook_secrets:
        raise WebhookOffError
    return gateway


@transaction.atomic
def store(event: GatewayEvent) -> bool:
    """Keep an event and have it handled; whether it is new, which the unique constraint decides."""
    GatewayEvent.objects.bulk_create([event], ignore_conflicts=True)
    if not GatewayEvent.objects.filter(pk=event.pk).exists():
        return False
    soon(HANDLE, event.id)
    return True


def handle_event(*, event_id: UUID) -> None:
    """Do what follows from an event; what fails is tried again later, with the reason kept."""
    event = claim_event(event_id=event_id)
    if event is None:
        return
    try:
        act_on(event)
    except Exception as error:
        # Whatever it was, the event must not be lost, and the next one must not wait for it.
        logger.exception("Could not handle %s", event)
        GatewayEvent.objects.filter(pk=event.pk).update(last_error=f"{type(error).__name__}: {error}"[:500])
        return
    GatewayEvent.objects.filter(pk=event.pk).update(handled_at=timezone.now(), next_attempt_at=None, last_error="")


def claim_event(*, event_id: UUID) -> GatewayEvent | None:
    """Take an event for this worker by naming the time of the next attempt; None when somebody else has."""
    now = timezone.now()
    event = GatewayEvent.objects.due(now).filter(pk=event_id).first()
    if event is None:
        return None
    taken = (
        GatewayEvent.objects.due(now)
        .filter(pk=event_id, attempts=event.attempts)
        .update(attempts=F("attempts") + 1, next_attempt_at=now + delay(event.attempts) if is_worthy(event) else None)
    )
    return event if taken else None


def is_worthy(event: GatewayEvent) -> bool:
    """Whether another attempt will follow the one about to be made."""
    return event.attempts + 1 < ATTEMPTS


def delay(attempts: int) -> timedelta:
    """How long to wait after so many attempts."""
    doubled: timedelta = FIRST_DELAY * 2**attempts
    return min(doubled, LONGEST_DELAY)


def act_on(event: GatewayEvent) -> None:
    """Ask the gateway what is true of what the event is about, and write that down."""
    gateway = gateway_named(event.gateway)
    match gateway.subject_of(event.type, event.payload):
        case AboutPayment(key=key, gateway_payment_id=payment_id):
            attempt = attempt_of(event, key=key)
            outcome = gateway.retrieve(key, gateway_payment_id=payment_id)
            if outcome is None:
                raise UnknownPaymentError(f"{event.gateway} does not know {key}")
            # A payer who has acted since is not asked to act again: whoever confirms will bring the answer.
            if not (isinstance(outcome, ActionRequired) and attempt.confirmed_at):
                record_outcome(attempt_id=attempt.id, outcome=outcome)
        case AboutDispute(gateway_dispute_id=dispute_id):
            facts = gateway.retrieve_dispute(dispute_id)
            if facts is None:
                raise UnknownPaymentError(f"{event.gateway} does not know the dispute {dispute_id}")
            follow_dispute(order_id=attempt_of(event, key=facts.charge_key).order_id, facts=facts)
        case AboutRefund(key=key, gateway_refund_id=refund_id):
            answer = gateway.retrieve_refund(refund_id)
            if answer is None:
                raise UnknownPaymentError(f"{event.gateway} does not know the refund {refund_id}")
            record_refund(refund_id=refund_of(event, key=key).id, answer=answer)
        case None:
            logger.info("Nothing follows from %s", event)


def attempt_of(event: GatewayEvent, *, key: str) -> PaymentAttempt:
    """Our attempt of this key at the gateway that tells of it; raises UnknownPaymentError."""
    attempt = PaymentAttempt.objects.filter(gateway_idempotency_key=key, order__gateway=event.gateway).first()
    if attempt is None:
        raise UnknownPaymentError(f"No attempt has the key {key!r} at {event.gateway}")
    return attempt


def refund_of(event: GatewayEvent, *, key: str) -> Refund:
    """Our refund of this key at the gateway that tells of it; raises UnknownPaymentError."""
    try:
        refund = Refund.objects.filter(pk=UUID(key), order__gateway=event.gateway).first()
    except ValueError:
        refund = None
    if refund is None:
        raise UnknownPaymentError(f"No refund has the key {key!r} at {event.gateway}")
    return refund


@transaction.atomic
def handle_again(*, event_id: UUID) -> GatewayEvent:
    """Let staff have an event handled that was given up or is waiting; a handled one stays as it is."""
    event = GatewayEvent.objects.select_for_update().get(pk=event_id)
    if event.handled_at is None:
        event.attempts, event.next_attempt_at = 0, timezone.now()
        event.save(update_fields=["attempts", "next_attempt_at"])
        soon(HANDLE, event.id)
    return event


def forget_old_events(*, limit: int) -> int:
    """Delete handled events that no gateway sends again, at most so many; how many it were."""
    old = GatewayEvent.objects.outlived(timezone.now() - KEPT).order_by("received_at").values_list("pk", flat=True)
    # Read first: joined with a list that it cannot foresee, PostgreSQL would read the whole table.
    deleted, _ = GatewayEvent.objects.filter(pk__in=list(old[:limit])).delete()
    return deleted
