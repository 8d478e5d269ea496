"""What subscriptions tells the other rooms: the five facts of tiers and subscriptions."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from eventbus.events import Event, Wire, WireEnum, event, field

if TYPE_CHECKING:
    from subscriptions.models.subscriptions import Subscription
    from subscriptions.models.tiers import Tier, TierPrice


class Interval(WireEnum):
    """The unit of a price's period."""

    MONTH = "month"
    YEAR = "year"


class TierStatus(WireEnum):
    """Whether a tier can be chosen."""

    ACTIVE = "active"
    ARCHIVED = "archived"


class SubscriptionStatus(WireEnum):
    """Where a subscription stands; `cancelled` and `expired` are final."""

    INCOMPLETE = "incomplete"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Change(WireEnum):
    """Why `subscription.updated` was published."""

    ACTIVATED = "activated"
    RENEWAL_DUE = "renewal_due"
    RENEWED = "renewed"
    TRIAL_CONVERTED = "trial_converted"
    PAST_DUE = "past_due"
    RECOVERED = "recovered"
    TIER_CHANGED = "tier_changed"
    CHANGE_SCHEDULED = "change_scheduled"
    CHANGE_UNSCHEDULED = "change_unscheduled"
    UNCANCELLED = "uncancelled"
    PAYMENT_METHOD_UPDATED = "payment_method_updated"
    REFUND_REQUESTED = "refund_requested"
    ENDED = "ended"


class EndReason(WireEnum):
    """Why a subscription is over."""

    SUBSCRIBER_REQUEST = "subscriber_request"
    CREATOR_REQUEST = "creator_request"
    STAFF_REQUEST = "staff_request"
    INITIAL_PAYMENT_FAILED = "initial_payment_failed"
    PAYMENT_FAILED = "payment_failed"
    REPLACED = "replaced"
    TERM_ENDED = "term_ended"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    ACCOUNT_CLOSED = "account_closed"


class CancelMode(WireEnum):
    """When a cancellation takes effect."""

    AT_PERIOD_END = "at_period_end"
    IMMEDIATE = "immediate"


class CancelledBy(WireEnum):
    """Who cancelled."""

    SUBSCRIBER = "subscriber"
    CREATOR = "creator"
    STAFF = "staff"
    SYSTEM = "system"


class CancelReason(WireEnum):
    """Why they cancelled."""

    TOO_EXPENSIVE = "too_expensive"
    LOW_QUALITY = "low_quality"
    MISSING_FEATURES = "missing_features"
    UNUSED = "unused"
    SWITCHED_SERVICE = "switched_service"
    CUSTOMER_SERVICE = "customer_service"
    PAYMENT_FAILED = "payment_failed"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    CREATOR_CLOSED = "creator_closed"
    ACCOUNT_CLOSED = "account_closed"
    OTHER = "other"


class RefundPolicy(WireEnum):
    """What an immediate cancellation gives back of the current period."""

    NONE = "none"
    FULL = "full"
    PRORATED = "prorated"


class BillingReason(WireEnum):
    """Why a cycle is charged."""

    INITIAL = "initial"
    RENEWAL = "renewal"
    TRIAL_CONVERSION = "trial_conversion"
    PRORATION = "proration"


class RefundReason(WireEnum):
    """Why subscriptions asks payments to give a payment back."""

    DUPLICATE = "duplicate"
    SUBSCRIPTION_NOT_PAYABLE = "subscription_not_payable"
    PRORATED = "prorated"


class Price(Wire):
    """A tier's price: `amount` in minor units of `currency` for each period."""

    price_id: UUID
    interval: Interval
    interval_count: int
    amount: int
    currency: str
    active: bool

    @classmethod
    def of(cls, price: "TierPrice") -> Self:
        """The price as it is now."""
        return cls(
            price_id=price.id,
            interval=Interval(price.interval),
            interval_count=price.interval_count,
            amount=price.amount,
            currency=price.currency,
            active=price.active,
        )


class BillingRequest(Wire):
    """Charge this cycle, once. The period is null for the initial cycle: it starts when the money arrives."""

    billing_request_id: UUID
    reason: BillingReason
    cycle_number: int
    period_start: datetime | None
    period_end: datetime | None
    amount: int
    currency: str
    due_at: datetime
    expires_at: datetime
    payment_method_id: UUID | None


class RefundRequest(Wire):
    """Give this payment back, once; the whole of it when `amount` is null."""

    payment_id: UUID
    reason: RefundReason
    amount: int | None = None


class TierSnapshot(Event):
    """All that other rooms may know of a tier."""

    tier_id: UUID
    creator_id: UUID
    name: str
    description: str | None
    benefits: tuple[str, ...]
    rank: int
    trial_days: int
    status: TierStatus
    is_public: bool
    max_subscribers: int | None
    prices: tuple[Price, ...]
    archived_at: datetime | None

    @staticmethod
    def fields_of(tier: "Tier") -> dict[str, Any]:
        """What every event of a tier says, read from the locked row."""
        return {
            "sequence": tier.sequence,
            "tier_id": tier.id,
            "creator_id": tier.creator_id,
            "name": tier.name,
            "description": tier.description or None,
            "benefits": tuple(tier.benefits),
            "rank": tier.rank,
            "trial_days": tier.trial_days,
            "status": TierStatus(tier.status),
            "is_public": tier.is_public,
            "max_subscribers": tier.max_subscribers,
            "prices": tuple(Price.of(price) for price in tier.prices.order_by("created_at", "id")),
            "archived_at": tier.archived_at,
        }


@event("subscription.tier.created", version="1.0", key="tier_id", aggregate="tier")
class TierCreated(TierSnapshot):
    """A creator offers a new tier."""

    created_at: datetime

    @classmethod
    def of(cls, tier: "Tier") -> Self:
        """The tier as it was made."""
        return cls(**cls.fields_of(tier), created_at=tier.created_at)


@event("subscription.tier.updated", version="1.0", key="tier_id", aggregate="tier")
class TierUpdated(TierSnapshot):
    """A tier's text, prices or status changed."""

    changed_fields: tuple[str, ...]
    previous_status: TierStatus | None
    updated_at: datetime

    @classmethod
    def of(cls, tier: "Tier", *, changed_fields: Iterable[str], previous_status: str | None = None) -> Self:
        """The tier as it is now; `previous_status` when the status is among what changed."""
        return cls(
            **cls.fields_of(tier),
            changed_fields=tuple(sorted(changed_fields)),
            previous_status=TierStatus(previous_status) if previous_status else None,
            updated_at=tier.updated_at,
        )


class SubscriptionSnapshot(Event):
    """All that other rooms may know of a subscription; `access_until` null means no access."""

    subscription_id: UUID
    subscriber_id: UUID
    creator_id: UUID
    tier_id: UUID
    price_id: UUID
    status: SubscriptionStatus
    amount: int
    currency: str
    interval: Interval
    interval_count: int
    cycle_number: int
    current_period_start: datetime | None
    current_period_end: datetime | None
    trial_end_at: datetime | None
    access_until: datetime | None
    cancel_at_period_end: bool
    started_at: datetime | None
    ended_at: datetime | None
    end_reason: EndReason | None
    replaces_subscription_id: UUID | None

    @staticmethod
    def fields_of(subscription: "Subscription") -> dict[str, Any]:
        """What every event of a subscription says, read from the locked row."""
        return {
            "sequence": subscription.sequence,
            "subscription_id": subscription.id,
            "subscriber_id": subscription.subscriber_id,
            "creator_id": subscription.creator_id,
            "tier_id": subscription.tier_id,
            "price_id": subscription.price_id,
            "status": SubscriptionStatus(subscription.status),
            "amount": subscription.amount,
            "currency": subscription.currency,
            "interval": Interval(subscription.interval),
            "interval_count": subscription.interval_count,
            "cycle_number": subscription.cycle_number,
            "current_period_start": subscription.current_period_start,
            "current_period_end": subscription.current_period_end,
            "trial_end_at": subscription.trial_end_at,
            "access_until": subscription.access_until,
            "cancel_at_period_end": subscription.cancel_at_period_end,
            "started_at": subscription.started_at,
            "ended_at": subscription.ended_at,
            "end_reason": EndReason(subscription.end_reason) if subscription.end_reason else None,
            "replaces_subscription_id": subscription.replaces_subscription_id,
        }


@event("subscription.created", version="1.0", key="subscription_id", aggregate="subscription")
class SubscriptionCreated(SubscriptionSnapshot):
    """A fan subscribed; while money is due the subscription is `incomplete` and grants nothing."""

    requires_payment: bool
    billing_request: BillingRequest | None
    payment_due_at: datetime | None
    created_at: datetime = field(name="startDate")

    @classmethod
    def of(cls, subscription: "Subscription", *, billing_request: BillingRequest | None) -> Self:
        """The subscription as it was made, and what to charge for it."""
        return cls(
            **cls.fields_of(subscription),
            requires_payment=billing_request is not None,
            billing_request=billing_request,
            payment_due_at=subscription.payment_due_at,
            created_at=subscription.created_at,
        )


@event("subscription.updated", version="1.0", key="subscription_id", aggregate="subscription")
class SubscriptionUpdated(SubscriptionSnapshot):
    """A subscription moved on; `change` says how."""

    change: Change
    previous_status: SubscriptionStatus
    previous_tier_id: UUID | None
    changed_fields: tuple[str, ...]
    billing_request: BillingRequest | None
    refund_request: RefundRequest | None
    updated_at: datetime

    @classmethod
    def of(
        cls,
        subscription: "Subscription",
        *,
        change: Change,
        previous_status: str,
        changed_fields: Iterable[str],
        previous_tier_id: UUID | None = None,
        billing_request: BillingRequest | None = None,
        refund_request: RefundRequest | None = None,
    ) -> Self:
        """The subscription as it is now, and how it came there."""
        return cls(
            **cls.fields_of(subscription),
            change=change,
            previous_status=SubscriptionStatus(previous_status),
            previous_tier_id=previous_tier_id,
            changed_fields=tuple(sorted(changed_fields)),
            billing_request=billing_request,
            refund_request=refund_request,
            updated_at=subscription.updated_at,
        )


@event("subscription.cancelled", version="1.0", key="subscription_id", aggregate="subscription")
class SubscriptionCancelled(SubscriptionSnapshot):
    """A cancellation was scheduled, or took effect at once."""

    mode: CancelMode
    effective_at: datetime
    requested_at: datetime = field(name="cancelledAt")
    cancelled_by: CancelledBy
    reason: CancelReason
    refund_policy: RefundPolicy

    @classmethod
    def of(
        cls,
        subscription: "Subscription",
        *,
        mode: CancelMode,
        effective_at: datetime,
        cancelled_by: CancelledBy,
        reason: CancelReason,
        refund_policy: RefundPolicy,
    ) -> Self:
        """The subscription as the cancellation leaves it."""
        return cls(
            **cls.fields_of(subscription),
            mode=mode,
            effective_at=effective_at,
            requested_at=subscription.cancel_requested_at or subscription.updated_at,
            cancelled_by=cancelled_by,
            reason=reason,
            refund_policy=refund_policy,
        )
