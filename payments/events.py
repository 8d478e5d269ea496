"""What payments tells the other rooms: money came, did not come, went back.

The fields without which a payment means nothing are required; the rest may be missing in a message of another producer.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from eventbus.events import Event, Wire, WireEnum, event, field

if TYPE_CHECKING:
    from payments.models.orders import PaymentOrder
    from payments.models.refunds import Refund
    from payments.models.sales import PostPurchase, Tip


class PaymentKind(WireEnum):
    """What the money is for."""

    SUBSCRIPTION = "subscription"
    TIP = "tip"
    POST_PURCHASE = "ppv"


class FailureCode(WireEnum):
    """Why a payment failed; the gateway's own words stay in payments."""

    CARD_DECLINED = "card_declined"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    AUTHENTICATION_REQUIRED = "authentication_required"
    AUTHENTICATION_FAILED = "authentication_failed"
    EXPIRED_CARD = "expired_card"
    INVALID_METHOD = "invalid_method"
    PROCESSING_ERROR = "processing_error"
    FRAUD_SUSPECTED = "fraud_suspected"
    CANCELLED_BY_PAYER = "cancelled_by_payer"
    VOIDED = "voided"
    EXPIRED = "expired"
    GATEWAY_UNREACHABLE = "gateway_unreachable"


class DeclineType(WireEnum):
    """Whether trying the same method again can help (`soft`) or cannot (`hard`)."""

    SOFT = "soft"
    HARD = "hard"
    NONE = "none"


class RefundReason(WireEnum):
    """Why money went back."""

    REQUESTED_BY_CUSTOMER = "requested_by_customer"
    DUPLICATE = "duplicate"
    FRAUDULENT = "fraudulent"
    POST_UNAVAILABLE = "post_unavailable"
    SUBSCRIPTION_NOT_PAYABLE = "subscription_not_payable"
    DISPUTE_PREVENTION = "dispute_prevention"
    OTHER = "other"


class RefundSource(WireEnum):
    """Who gave it back."""

    PAYEE = "payee"
    STAFF = "staff"
    SYSTEM = "system"
    DISPUTE = "dispute"


class PaymentMetadata(Wire):
    """The thing paid for: the ids of its kind, the others null."""

    subscription_id: UUID | None = None
    tip_id: UUID | None = None
    purchase_id: UUID | None = None
    post_id: UUID | None = None

    @classmethod
    def of(cls, order: "PaymentOrder") -> Self:
        """The ids behind the order's reference."""
        return cls(
            subscription_id=order.reference_id if order.kind == order.Kind.SUBSCRIPTION else None,
            tip_id=order.reference_id if order.kind == order.Kind.TIP else None,
            purchase_id=order.reference_id if order.kind == order.Kind.POST_PURCHASE else None,
            post_id=order.post_id,
        )


class PaymentFact(Event):
    """What every payment event says; `amount` in minor units of `currency`, the cycle only for subscriptions."""

    payment_id: UUID = field(name="transactionId")
    reference_id: UUID | None = None
    payer_id: UUID = field(name="userId")
    payee_id: UUID | None = None
    amount: int
    currency: str | None = None
    kind: PaymentKind = field(name="type")
    metadata: PaymentMetadata
    billing_request_id: UUID | None = None
    cycle_number: int | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None

    @staticmethod
    def facts_of(order: "PaymentOrder") -> dict[str, Any]:
        """What every event says of its order."""
        kind = PaymentKind.POST_PURCHASE if order.kind == order.Kind.POST_PURCHASE else PaymentKind(order.kind)
        return {
            "sequence": order.sequence,
            "payment_id": order.id,
            "reference_id": order.reference_id,
            "payer_id": order.payer_id,
            "payee_id": order.payee_id,
            "amount": order.amount,
            "currency": order.currency,
            "kind": kind,
            "metadata": PaymentMetadata.of(order),
            "billing_request_id": order.billing_request_id,
            "cycle_number": order.cycle_number,
            "period_start": order.period_start,
            "period_end": order.period_end,
        }


@event("payment.completed", version="1.0", key="reference_id", aggregate="payment", aggregate_id="payment_id")
class PaymentCompleted(PaymentFact):
    """The money for this reference has been captured."""

    platform_fee_amount: int | None = None
    processor_fee_amount: int | None = None
    creator_net_amount: int | None = None
    attempt_number: int = 1
    gateway: str | None = None
    gateway_payment_id: str | None = None
    completed_at: datetime | None = None

    @classmethod
    def of(cls, order: "PaymentOrder", *, attempt_number: int) -> Self:
        """The capture of this order by this attempt."""
        return cls(
            **cls.facts_of(order),
            platform_fee_amount=order.platform_fee_amount,
            processor_fee_amount=order.processor_fee_amount,
            creator_net_amount=order.creator_net_amount,
            attempt_number=attempt_number,
            gateway=order.gateway,
            gateway_payment_id=order.gateway_payment_id,
            completed_at=order.completed_at,
        )

    @property
    def paid_at(self) -> datetime:
        """When the money was captured, as well as the producer says it."""
        return self.completed_at or self.timestamp


@event("payment.failed", version="1.0", key="reference_id", aggregate="payment", aggregate_id="payment_id")
class PaymentFailed(PaymentFact):
    """An attempt failed; `final` says that no other will be made."""

    attempt_number: int = 1
    final: bool = True
    failure_code: FailureCode = field(name="reason")
    decline_type: DeclineType = DeclineType.NONE
    next_attempt_at: datetime | None = None
    failed_at: datetime

    @classmethod
    def of(cls, order: "PaymentOrder", *, failed_at: datetime) -> Self:
        """A decline that ends this order, or after which it waits for another attempt."""
        final = order.status != order.Status.RETRY_SCHEDULED
        return cls(
            **cls.facts_of(order),
            attempt_number=order.attempt_count,
            final=final,
            failure_code=FailureCode(order.failure_code or FailureCode.PROCESSING_ERROR),
            decline_type=DeclineType(order.decline_type or DeclineType.NONE),
            next_attempt_at=None if final else order.next_attempt_at,
            failed_at=failed_at,
        )


@event("payment.tip.sent", version="1.0", key="tip_id", aggregate="tip")
class TipSent(Event):
    """A tip was captured."""

    tip_id: UUID
    payment_id: UUID = field(name="transactionId")
    sender_id: UUID
    recipient_id: UUID
    post_id: UUID | None
    amount: int
    currency: str
    creator_net_amount: int
    is_anonymous: bool
    has_message: bool
    sent_at: datetime

    @classmethod
    def of(cls, tip: "Tip", *, order: "PaymentOrder", sent_at: datetime) -> Self:
        """The tip whose order was just captured; its first and only event."""
        return cls(
            sequence=1,
            tip_id=tip.id,
            payment_id=order.id,
            sender_id=tip.sender_id,
            recipient_id=tip.recipient_id,
            post_id=tip.post_id,
            amount=tip.amount,
            currency=tip.currency,
            creator_net_amount=order.creator_net_amount,
            is_anonymous=tip.is_anonymous,
            has_message=bool(tip.message),
            sent_at=sent_at,
        )


@event("payment.post.purchased", version="1.0", key="purchase_id", aggregate="post_purchase")
class PostPurchased(Event):
    """A post was bought and paid; `access_expires_at` null means for ever."""

    purchase_id: UUID | None = None
    payment_id: UUID = field(name="transactionId")
    buyer_id: UUID = field(name="userId")
    creator_id: UUID | None = None
    post_id: UUID
    amount: int
    currency: str | None = None
    price_version: int = 0
    purchased_at: datetime
    access_expires_at: datetime | None = None

    @classmethod
    def of(cls, purchase: "PostPurchase", *, order: "PaymentOrder", purchased_at: datetime) -> Self:
        """The purchase whose order was just captured; its first and only event, good for ever."""
        return cls(
            sequence=1,
            purchase_id=purchase.id,
            payment_id=order.id,
            buyer_id=purchase.buyer_id,
            creator_id=purchase.creator_id,
            post_id=purchase.post_id,
            amount=purchase.amount,
            currency=purchase.currency,
            price_version=purchase.price_version,
            purchased_at=purchased_at,
            access_expires_at=None,
        )

    @property
    def source_id(self) -> UUID:
        """The id of the purchase; another producer may only know its payment."""
        return self.purchase_id or self.payment_id


@event("payment.refunded", version="1.0", key="reference_id", aggregate="payment", aggregate_id="payment_id")
class PaymentRefunded(PaymentFact):
    """Money went back; `refunded_total` is all that went back of this payment so far."""

    refund_id: UUID
    refund_amount: int
    refunded_total: int
    is_full: bool
    reason: RefundReason
    revoke_access: bool
    source: RefundSource
    refunded_at: datetime

    @classmethod
    def of(cls, refund: "Refund", *, order: "PaymentOrder", refunded_at: datetime) -> Self:
        """The refund that the gateway has just taken on."""
        return cls(
            **cls.facts_of(order),
            refund_id=refund.id,
            refund_amount=refund.amount,
            refunded_total=order.refunded_amount,
            is_full=order.refunded_amount == order.amount,
            reason=RefundReason(refund.reason),
            revoke_access=refund.revoke_access,
            source=RefundSource(refund.source),
            refunded_at=refunded_at,
        )
