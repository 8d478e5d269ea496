"""Charging subscriptions: what their room asks for, as long as the subscription may be charged."""

import logging
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.selectors import is_active
from api.money import EXPONENTS
from payments.exceptions import InvalidBillingRequestError
from payments.models.methods import PaymentMethod
from payments.models.orders import PaymentOrder
from payments.models.projections import SubscriptionRef
from payments.models.refunds import Refund
from payments.services.background import CHARGE, soon
from payments.services.dunning import fail_or_wait, retry_now
from payments.services.offers import NOTHING_HEARD
from payments.services.orders import close_order, new_order
from payments.services.refunds import give_back_rest, refund_on_request

Status = PaymentOrder.Status

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SubscriptionFact:
    """What subscriptions says of one of theirs."""

    subscription_id: UUID
    subscriber_id: UUID
    creator_id: UUID
    tier_id: UUID
    status: str
    access_until: datetime | None
    sequence: int


@dataclass(frozen=True, slots=True)
class CycleCharge:
    """Charge this cycle, once; the initial cycle has no period until it is paid."""

    billing_request_id: UUID
    reason: str | None
    cycle_number: int
    period_start: datetime | None
    period_end: datetime | None
    amount: int
    currency: str
    due_at: datetime
    expires_at: datetime
    payment_method_id: UUID | None


@dataclass(frozen=True, slots=True)
class RefundDemand:
    """Give this payment back, once for this reason; all that is left when no amount is named."""

    payment_id: UUID
    amount: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class CycleRefund:
    """Give back the running cycle: all of it, or with a period its unused part from `unused_from`."""

    cycle_number: int
    period: tuple[datetime, datetime] | None
    unused_from: datetime

    def amount_of(self, paid: int) -> int:
        """The part of what was paid, rounded down."""
        if self.period is None:
            return paid
        start, end = self.period
        unused = end - min(max(self.unused_from, start), end)
        return paid * unused // (end - start)


@transaction.atomic
def follow_subscription(
    *, fact: SubscriptionFact, charge: CycleCharge | None = None, refund: RefundDemand | None = None
) -> SubscriptionRef:
    """Keep the newest word on a subscription, and charge or give back what it asks for."""
    ref = remember(fact, charge=charge)
    if ref.is_over:
        cancel_open_orders(ref)
    if charge is not None:
        bill(ref, fact=fact, charge=charge)
    if refund is not None:
        refund_on_request(payment_id=refund.payment_id, amount=refund.amount, reason=refund.reason)
    return ref


@transaction.atomic
def retry_subscription(*, fact: SubscriptionFact, charge: CycleCharge | None = None) -> SubscriptionRef:
    """Charge a declined cycle now, with the method that the request names or again with the one it has."""
    ref = follow_subscription(fact=fact, charge=charge)
    if ref.is_over:
        return ref
    orders = PaymentOrder.objects.filter(kind=PaymentOrder.Kind.SUBSCRIPTION, reference_id=ref.subscription_id)
    asked_before = orders.waiting_for_retry().filter(method_sequence__lt=fact.sequence)
    for order in asked_before.order_by("pk").select_for_update():
        order.method_sequence = fact.sequence
        order.save(update_fields=["method_sequence"])
        retry_now(order, method=usable_method(ref, charge) if charge else None)
    return ref


@transaction.atomic
def stop_billing(*, fact: SubscriptionFact, cancels_at: datetime, refund: CycleRefund | None = None) -> SubscriptionRef:
    """Charge nothing from this time on, and give back what the cancellation says."""
    ref = remember(fact)
    if fact.sequence >= ref.cancel_sequence:
        ref.cancels_at = cancels_at
        ref.cancel_sequence = fact.sequence
        ref.save(update_fields=["cancels_at", "cancel_sequence"])
    if ref.is_over:
        cancel_open_orders(ref)
    else:
        cancel_open_orders(ref, Q(period_start__gte=cancels_at, source_sequence__lte=fact.sequence))
    if refund is not None:
        refund_cycle(ref, refund=refund)
    return ref


def remember(fact: SubscriptionFact, *, charge: CycleCharge | None = None) -> SubscriptionRef:
    """The subscription's row, locked and holding the newest word; an end is kept whatever arrives later."""
    blank = SubscriptionRef(
        subscription_id=fact.subscription_id,
        subscriber_id=fact.subscriber_id,
        creator_id=fact.creator_id,
        tier_id=fact.tier_id,
        status=fact.status,
        source_sequence=NOTHING_HEARD,
    )
    SubscriptionRef.objects.bulk_create([blank], ignore_conflicts=True)
    ref = SubscriptionRef.objects.select_for_update().get(pk=fact.subscription_id)
    is_newer = fact.sequence >= ref.source_sequence
    ends = fact.status in SubscriptionRef.TERMINAL
    if (is_newer and (ends or not ref.is_over)) or (ends and not ref.is_over):
        ref.status = fact.status
    if is_newer:
        ref.tier_id = fact.tier_id
        ref.access_until = fact.access_until
        ref.source_sequence = fact.sequence
    if charge and charge.payment_method_id and fact.sequence >= ref.payment_method_sequence:
        ref.payment_method_id = charge.payment_method_id
        ref.payment_method_sequence = fact.sequence
    ref.save(
        update_fields=[
            "status",
            "tier_id",
            "access_until",
            "source_sequence",
            "payment_method_id",
            "payment_method_sequence",
        ]
    )
    return ref


def bill(ref: SubscriptionRef, *, fact: SubscriptionFact, charge: CycleCharge) -> None:
    """Open the cycle's order unless the subscription is over; what cannot be charged fails at once."""
    if charge.amount <= 0 or charge.currency not in EXPONENTS or ref.subscriber_id == ref.creator_id:
        raise InvalidBillingRequestError(f"billing request {charge.billing_request_id}")
    if ref.is_over or is_called_off(ref, fact=fact, charge=charge):
        logger.info("Skipped billing request %s: the subscription is ending", charge.billing_request_id)
        return
    method = usable_method(ref, charge)
    order = order_for(ref, fact=fact, charge=charge, method=method)
    PaymentOrder.objects.bulk_create([order], ignore_conflicts=True)
    if not PaymentOrder.objects.filter(pk=order.pk).exists():
        return
    if charge.expires_at <= timezone.now():
        close_order(order, status=Status.EXPIRED, failure_code="expired")
    elif method is None:
        fail_or_wait(order, failure_code="invalid_method", decline_type="hard")
    elif not (is_active(ref.subscriber_id) and is_active(ref.creator_id)):
        close_order(order, status=Status.CANCELLED, failure_code="voided")
    else:
        soon(CHARGE, order.id)


def order_for(
    ref: SubscriptionRef, *, fact: SubscriptionFact, charge: CycleCharge, method: PaymentMethod | None
) -> PaymentOrder:
    """The cycle's order, not saved yet."""
    order = new_order(
        kind=PaymentOrder.Kind.SUBSCRIPTION,
        reference_id=ref.subscription_id,
        payer_id=ref.subscriber_id,
        payee_id=ref.creator_id,
        amount=charge.amount,
        currency=charge.currency,
        payment_method=method,
        expires_at=charge.expires_at,
    )
    order.billing_request_id = charge.billing_request_id
    order.billing_reason = charge.reason
    order.billing_expires_at = charge.expires_at
    order.method_sequence = fact.sequence
    if charge.reason in PaymentOrder.DUNNED:
        order.next_trigger = PaymentOrder.Trigger.RENEWAL
    order.cycle_number = charge.cycle_number
    order.period_start = charge.period_start
    order.period_end = charge.period_end
    order.source_sequence = fact.sequence
    order.next_attempt_at = charge.due_at
    return order


def usable_method(ref: SubscriptionRef, charge: CycleCharge) -> PaymentMethod | None:
    """The subscriber's own method that the charge names, locked so that it cannot be removed meanwhile."""
    if charge.payment_method_id is None:
        return None
    methods = PaymentMethod.objects.usable_by(ref.subscriber_id).select_for_update()
    return methods.filter(pk=charge.payment_method_id).first()


def is_called_off(ref: SubscriptionRef, *, fact: SubscriptionFact, charge: CycleCharge) -> bool:
    """Whether a later cancellation, handled earlier, covers this cycle."""
    if ref.cancels_at is None or charge.period_start is None:
        return False
    return fact.sequence <= ref.cancel_sequence and charge.period_start >= ref.cancels_at


def cancel_open_orders(ref: SubscriptionRef, which: Q | None = None) -> None:
    """Cancel the orders of a locked subscription that no gateway is working on."""
    orders = PaymentOrder.objects.filter(kind=PaymentOrder.Kind.SUBSCRIPTION, reference_id=ref.subscription_id)
    for order in orders.filter(which or Q()).cancellable().order_by("pk").select_for_update():
        close_order(order, status=Status.CANCELLED, failure_code="voided")


def refund_cycle(ref: SubscriptionRef, *, refund: CycleRefund) -> None:
    """Give back a paid cycle, once; the access has ended already."""
    orders = PaymentOrder.objects.filter(
        kind=PaymentOrder.Kind.SUBSCRIPTION,
        reference_id=ref.subscription_id,
        cycle_number=refund.cycle_number,
        status__in=PaymentOrder.CAPTURED,  # what went back may be sent back, and a dispute be won
    )
    for order in orders.order_by("pk").select_for_update():
        give_back_rest(
            order,
            reason=Refund.Reason.REQUESTED_BY_CUSTOMER,
            revoke_access=False,
            at_most=refund.amount_of(order.amount),
        )
