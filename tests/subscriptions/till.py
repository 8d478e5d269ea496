"""Payments as subscriptions meets it: one order to a cycle, money that comes or not, events that wait to be told."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from django.utils import timezone

from payments.events import (
    FailureCode,
    PaymentCompleted,
    PaymentFact,
    PaymentFailed,
    PaymentKind,
    PaymentMetadata,
    PaymentRefunded,
    RefundReason,
    RefundSource,
)
from subscriptions.events import (
    BillingRequest,
    SubscriptionCancelled,
    SubscriptionCreated,
    SubscriptionSnapshot,
    SubscriptionUpdated,
)

OVER = {"cancelled", "expired"}


@dataclass(slots=True)
class Order:
    """What a billing request became."""

    subscription: SubscriptionSnapshot
    request: BillingRequest
    id: UUID = field(default_factory=uuid4)
    status: str = "open"
    attempts: int = 0
    is_refunded: bool = False


@dataclass(slots=True)
class Account:
    """What is known of a subscription, newest word first."""

    is_over: bool = False
    cancels_at: Any = None
    cancel_sequence: int = 0


class Till:
    """It hears what subscriptions tells, in any order, and says what became of the money."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.accounts: dict[UUID, Account] = {}
        self.said: list[PaymentFact] = []

    def hear(self, event: SubscriptionSnapshot) -> None:
        """Take one event in, as the handlers of payments do."""
        account = self.accounts.setdefault(event.subscription_id, Account())
        account.is_over = account.is_over or event.status.value in OVER
        if isinstance(event, SubscriptionCancelled):
            self.call_off(account, event)
        if account.is_over:
            for order in self.orders_of(event.subscription_id):
                self.void(order)
        if isinstance(event, SubscriptionCreated | SubscriptionUpdated) and event.billing_request is not None:
            self.open(account, event, event.billing_request)
        if isinstance(event, SubscriptionUpdated) and event.refund_request is not None:
            [order] = [order for order in self.orders if order.id == event.refund_request.payment_id]
            self.refund(order, revoke_access=False)

    def open(self, account: Account, event: SubscriptionSnapshot, request: BillingRequest) -> None:
        """One order to a request, and one live order to a cycle."""
        start = request.period_start
        is_called_off = account.cancels_at is not None and start is not None and start >= account.cancels_at
        if account.is_over or (is_called_off and event.sequence <= account.cancel_sequence):
            return
        for order in self.orders_of(event.subscription_id):
            is_live = order.status in {"open", "paid"} and order.request.cycle_number == request.cycle_number
            if is_live or order.request.billing_request_id == request.billing_request_id:
                return
        self.orders.append(Order(subscription=event, request=request))

    def call_off(self, account: Account, event: SubscriptionCancelled) -> None:
        """Charge nothing for what begins after the cancellation takes effect."""
        if event.sequence >= account.cancel_sequence:
            account.cancels_at, account.cancel_sequence = event.effective_at, event.sequence
        for order in self.orders_of(event.subscription_id):
            start = order.request.period_start
            if start is not None and start >= event.effective_at and order.subscription.sequence <= event.sequence:
                self.void(order)

    def orders_of(self, subscription_id: UUID) -> list[Order]:
        return [order for order in self.orders if order.subscription.subscription_id == subscription_id]

    def chargeable(self) -> list[Order]:
        """Orders that the gateway may be asked about now."""
        now = timezone.now()
        return [order for order in self.orders if order.status == "open" and order.request.due_at <= now]

    def pass_time(self) -> None:
        """Expire the orders whose time is up."""
        for order in self.orders:
            if order.status == "open" and order.request.expires_at <= timezone.now():
                self.fail(order, code=FailureCode.EXPIRED, final=True)

    def capture(self, order: Order) -> None:
        """The money comes; when the subscription is known to be over it goes back in the same breath."""
        order.status = "paid"
        self.say(PaymentCompleted, order, completed_at=timezone.now())
        if self.accounts[order.subscription.subscription_id].is_over:
            self.refund(order, revoke_access=True)

    def fail(self, order: Order, *, code: FailureCode = FailureCode.CARD_DECLINED, final: bool) -> None:
        """An attempt fails, or all of them have."""
        order.attempts += 1
        order.status = "failed" if final else "open"
        self.say(PaymentFailed, order, failure_code=code, final=final, failed_at=timezone.now())

    def void(self, order: Order) -> None:
        """Call an order off, if no money has come."""
        if order.status == "open":
            self.fail(order, code=FailureCode.VOIDED, final=True)

    def refund(self, order: Order, *, revoke_access: bool) -> None:
        """Give the money of an order back."""
        if order.is_refunded:
            return
        order.is_refunded = True
        self.say(
            PaymentRefunded,
            order,
            refund_id=uuid4(),
            refund_amount=order.request.amount,
            refunded_total=order.request.amount,
            is_full=True,
            reason=RefundReason.REQUESTED_BY_CUSTOMER,
            revoke_access=revoke_access,
            source=RefundSource.PAYEE,
            refunded_at=timezone.now(),
        )

    def say(self, event_class: type[PaymentFact], order: Order, **fields: Any) -> None:
        self.said.append(
            event_class(
                payment_id=order.id,
                reference_id=order.subscription.subscription_id,
                payer_id=order.subscription.subscriber_id,
                payee_id=order.subscription.creator_id,
                amount=order.request.amount,
                currency=order.request.currency,
                kind=PaymentKind.SUBSCRIPTION,
                metadata=PaymentMetadata(subscription_id=order.subscription.subscription_id),
                billing_request_id=order.request.billing_request_id,
                cycle_number=order.request.cycle_number,
                **fields,
            )
        )
