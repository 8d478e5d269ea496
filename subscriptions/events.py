"""What subscriptions tells the other rooms: the five facts of tiers and subscriptions."""

from datetime import datetime
from uuid import UUID

from eventbus.events import Event, Wire, WireEnum, event, field


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


@event("subscription.tier.created", version="1.0", key="tier_id", aggregate="tier")
class TierCreated(TierSnapshot):
    """A creator offers a new tier."""

    created_at: datetime


@event("subscription.tier.updated", version="1.0", key="tier_id", aggregate="tier")
class TierUpdated(TierSnapshot):
    """A tier's text, prices or status changed."""

    changed_fields: tuple[str, ...]
    previous_status: TierStatus | None
    updated_at: datetime


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


@event("subscription.created", version="1.0", key="subscription_id", aggregate="subscription")
class SubscriptionCreated(SubscriptionSnapshot):
    """A fan subscribed; while money is due the subscription is `incomplete` and grants nothing."""

    requires_payment: bool
    billing_request: BillingRequest | None
    payment_due_at: datetime | None
    created_at: datetime = field(name="startDate")


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


@event("subscription.cancelled", version="1.0", key="subscription_id", aggregate="subscription")
class SubscriptionCancelled(SubscriptionSnapshot):
    """A cancellation was scheduled, or took effect at once."""

    mode: CancelMode
    effective_at: datetime
    requested_at: datetime = field(name="cancelledAt")
    cancelled_by: CancelledBy
    reason: CancelReason
    refund_policy: RefundPolicy
