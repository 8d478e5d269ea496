"""Talking to the gateway about an order: claim, commit, ask, record; no transaction is open while it is asked.

Whoever claims the attempt asks; whoever finds the claim stale asks what became of it, by the same key. An answer that
did not come leaves the order `processing`: nothing here guesses.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypedDict
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.selectors import is_active, is_blocked_between
from payments.encryption import decrypt
from payments.exceptions import InvalidTransitionError, PaymentExpiredError
from payments.gateways.base import ActionRequired, Charge, Gateway, GatewayUnavailableError, Outcome
from payments.gateways.registry import gateway_named
from payments.models.orders import PaymentAttempt, PaymentOrder
from payments.services.background import CONFIRM, soon
from payments.services.dunning import fail_or_wait
from payments.services.locking import lock_order
from payments.services.orders import close_order
from payments.services.outcomes import record_outcome
from payments.services.velocity import looks_like_card_testing

STALE_AFTER = timedelta(seconds=60)
Status = PaymentOrder.Status

logger = logging.getLogger(__name__)


class ChargeNames(TypedDict):
    """The key of a charge, and what its gateway called it if that is known."""

    key: str
    gateway_payment_id: str | None


def charge(*, order_id: UUID) -> None:
    """Make the next attempt of an order that is due; does nothing when somebody else has."""
    attempt = claim(order_id=order_id)
    if attempt is not None:
        ask(attempt, lambda gateway: gateway.create_payment(charge_of(attempt)))


def confirm(*, order_id: UUID) -> None:
    """Tell the gateway that the payer has acted."""
    attempt = PaymentAttempt.objects.select_related("order").filter(order_id=order_id).latest("number")
    if attempt.status == PaymentAttempt.Status.PROCESSING and attempt.confirmed_at:
        ask(attempt, lambda gateway: gateway.confirm(**names_of(attempt)))


def reconcile(*, order_id: UUID) -> None:
    """Find out what became of an attempt whose answer never came."""
    attempt = reclaim(order_id=order_id)
    if attempt is not None:
        ask(attempt, lambda gateway: what_became_of(attempt, gateway))


def void(*, attempt_id: UUID) -> None:
    """Call off at the gateway what ended here, or what its payer left waiting for too long."""
    attempt = PaymentAttempt.objects.select_related("order").get(pk=attempt_id)
    order = attempt.order
    is_left = order.status in PaymentOrder.UNPAID or (
        order.status == Status.REQUIRES_ACTION and order.is_dunned and is_over(order.expires_at)
    )
    if attempt.status == PaymentAttempt.Status.REQUIRES_ACTION and is_left:
        ask(attempt, lambda gateway: gateway.cancel(**names_of(attempt)))


@transaction.atomic
def claim(*, order_id: UUID) -> PaymentAttempt | None:
    """Take an order that is due for this worker; None when it is not to be charged, or not by us."""
    now = timezone.now()
    taken = (
        PaymentOrder.objects.due(now)
        .filter(pk=order_id)
        .update(status=Status.PROCESSING, lock_acquired_at=now, attempt_count=F("attempt_count") + 1)
    )
    if not taken:
        return None
    order = PaymentOrder.objects.select_related("payment_method").get(pk=order_id)
    if not may_pay(order):
        close_order(order, status=Status.CANCELLED, failure_code="voided")
        return None
    if order.payment_method is None or not order.payment_method.is_usable:
        fail_or_wait(order, failure_code="invalid_method", decline_type="hard")
        return None
    if order.next_trigger in PaymentOrder.ON_THE_PAYERS_WORD and looks_like_card_testing(payer_id=order.payer_id):
        fail_or_wait(order, failure_code="fraud_suspected", decline_type="none")
        return None
    return PaymentAttempt.objects.create(
        order=order,
        number=order.attempt_count,
        trigger=order.next_trigger,
        gateway_idempotency_key=f"{order.id}:{order.attempt_count}",
    )


def may_pay(order: PaymentOrder) -> bool:
    """Whether money may still move between the two: a suspension or a block may have come since it was asked for."""
    are_active = is_active(order.payer_id) and is_active(order.payee_id)
    return are_active and not is_blocked_between(order.payer_id, order.payee_id)


@transaction.atomic
def confirm_payment(*, order_id: UUID) -> PaymentOrder:
    """Take the payer's word that they have acted; the gateway is asked after the commit."""
    order = lock_order(order_id)
    if order.status == Status.REQUIRES_ACTION and is_over(order.expires_at):
        raise PaymentExpiredError
    if order.status == Status.EXPIRED:
        raise PaymentExpiredError
    if order.status != Status.REQUIRES_ACTION:
        raise InvalidTransitionError(f"A payment that is {order.status} cannot be confirmed")
    now = timezone.now()
    order.status = Status.PROCESSING
    order.lock_acquired_at = now
    order.save(update_fields=["status", "lock_acquired_at"])
    order.attempts.filter(number=order.attempt_count).update(status=PaymentAttempt.Status.PROCESSING, confirmed_at=now)
    soon(CONFIRM, order.id)
    return order


@transaction.atomic
def reclaim(*, order_id: UUID) -> PaymentAttempt | None:
    """Take over an order whose worker has not been heard of; None when somebody else has."""
    now = timezone.now()
    taken = PaymentOrder.objects.unanswered(now - STALE_AFTER).filter(pk=order_id).update(lock_acquired_at=now)
    if not taken:
        return None
    return PaymentAttempt.objects.select_related("order__payment_method").filter(order_id=order_id).latest("number")


def what_became_of(attempt: PaymentAttempt, gateway: Gateway) -> Outcome:
    """The gateway's word on an attempt; what it never saw is asked again under the same key, so it happens once."""
    outcome = gateway.retrieve(**names_of(attempt))
    if outcome is None:
        return gateway.create_payment(charge_of(attempt))
    if isinstance(outcome, ActionRequired) and attempt.confirmed_at:
        return gateway.confirm(**names_of(attempt))
    return outcome


def names_of(attempt: PaymentAttempt) -> ChargeNames:
    """How the gateway may find the charge of an attempt."""
    return {"key": attempt.gateway_idempotency_key, "gateway_payment_id": attempt.order.gateway_payment_id}


def ask(attempt: PaymentAttempt, question: Callable[[Gateway], Outcome]) -> None:
    """Ask the gateway and write its answer down; without an answer the reconciler asks again."""
    try:
        outcome = question(gateway_named(attempt.order.gateway))
    except GatewayUnavailableError:
        logger.warning("No answer from %s for %s", attempt.order.gateway, attempt.gateway_idempotency_key)
        return
    record_outcome(attempt_id=attempt.id, outcome=outcome)


def charge_of(attempt: PaymentAttempt) -> Charge:
    """What the gateway has to know."""
    order = attempt.order
    if order.payment_method is None:
        raise InvalidTransitionError("An order without a payment method cannot be charged")
    return Charge(
        key=attempt.gateway_idempotency_key,
        amount=order.amount,
        currency=order.currency,
        token=decrypt(order.payment_method.encrypted_token),
        payer_is_present=attempt.trigger in PaymentOrder.ON_THE_PAYERS_WORD,
    )


def is_over(moment: datetime | None) -> bool:
    """Whether a deadline, if there is one, has passed."""
    return moment is not None and moment <= timezone.now()
