"""How subscriptions answers what payments tells."""

from uuid import UUID

from eventbus.handlers import handles
from payments.events import (
    PaymentCompleted,
    PaymentFact,
    PaymentFailed,
    PaymentKind,
    PaymentRefunded,
    RefundSource,
)
from subscriptions.exceptions import PaymentWithoutSubscriptionError
from subscriptions.services.dunning import record_failed_payment
from subscriptions.services.payments import activate, apply_refund


@handles(PaymentCompleted)
def activate_when_paid(event: PaymentCompleted) -> None:
    """Grant the cycle that was paid."""
    if event.kind is PaymentKind.SUBSCRIPTION:
        activate(
            subscription_id=subscription_id_of(event),
            payment_id=event.payment_id,
            billing_request_id=event.billing_request_id,
            amount=event.amount,
            currency=event.currency,
            cycle=event.cycle_number,
            paid_at=event.paid_at,
        )


@handles(PaymentFailed)
def record_when_payment_failed(event: PaymentFailed) -> None:
    """Start the grace, or end the subscription when no other attempt follows."""
    if event.kind is PaymentKind.SUBSCRIPTION:
        record_failed_payment(
            subscription_id=subscription_id_of(event),
            billing_request_id=event.billing_request_id,
            cycle=event.cycle_number,
            final=event.final,
            failed_at=event.failed_at,
        )


@handles(PaymentRefunded)
def apply_when_refunded(event: PaymentRefunded) -> None:
    """Take back what the money had given."""
    if event.kind is PaymentKind.SUBSCRIPTION:
        apply_refund(
            subscription_id=subscription_id_of(event),
            payment_id=event.payment_id,
            refunded_total=event.refunded_total,
            revoke_access=event.revoke_access,
            disputed=event.source is RefundSource.DISPUTE,
            refunded_at=event.refunded_at,
        )


def subscription_id_of(event: PaymentFact) -> UUID:
    """The subscription that the payment names; a message that names none can never be handled."""
    subscription_id = event.metadata.subscription_id or event.reference_id
    if subscription_id is None:
        raise PaymentWithoutSubscriptionError(f"Payment {event.payment_id} names no subscription")
    return subscription_id
