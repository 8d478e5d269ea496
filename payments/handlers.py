"""How payments answers the other rooms: charge and refund subscriptions, know what posts cost."""

from content.events import PostCreated, PostDeleted, PostSnapshot, PostUpdated
from eventbus.handlers import handles
from eventbus.rebuild.projections import projection
from payments.models.orders import PaymentOrder
from payments.models.projections import PostOffer, SubscriptionRef
from payments.models.refunds import Refund
from payments.services.billing import (
    CycleCharge,
    CycleRefund,
    RefundDemand,
    SubscriptionFact,
    follow_subscription,
    retry_subscription,
    stop_billing,
)
from payments.services.offers import PostFact, close_offer, offer_post
from subscriptions.events import (
    BillingRequest,
    CancelMode,
    Change,
    RefundPolicy,
    RefundReason,
    RefundRequest,
    SubscriptionCancelled,
    SubscriptionCreated,
    SubscriptionSnapshot,
    SubscriptionUpdated,
)

REFUND_REASONS = {
    RefundReason.DUPLICATE: Refund.Reason.DUPLICATE,
    RefundReason.SUBSCRIPTION_NOT_PAYABLE: Refund.Reason.SUBSCRIPTION_NOT_PAYABLE,
    RefundReason.PRORATED: Refund.Reason.REQUESTED_BY_CUSTOMER,
}


@handles(SubscriptionCreated)
def charge_first_cycle(event: SubscriptionCreated) -> None:
    """A fan subscribed: charge the first cycle when money is due."""
    if event.status in SubscriptionRef.Status.values:
        follow_subscription(fact=fact_of(event), charge=charge_of(event.billing_request))


@handles(SubscriptionUpdated)
def charge_or_refund_as_asked(event: SubscriptionUpdated) -> None:
    """A subscription moved on: charge the next cycle, try one again, give a payment back, or stop when it has ended."""
    if event.status not in SubscriptionRef.Status.values:
        return
    if event.change is Change.PAYMENT_METHOD_UPDATED:
        retry_subscription(fact=fact_of(event), charge=charge_of(event.billing_request))
    else:
        follow_subscription(
            fact=fact_of(event), charge=charge_of(event.billing_request), refund=refund_of(event.refund_request)
        )


@handles(SubscriptionCancelled)
def charge_no_more(event: SubscriptionCancelled) -> None:
    """A subscription is cancelled, or will be: charge nothing after that, and give back what its policy says."""
    if event.status in SubscriptionRef.Status.values:
        stop_billing(fact=fact_of(event), cancels_at=event.effective_at, refund=cycle_refund_of(event))


@handles(PostCreated, PostUpdated)
def follow_the_price(event: PostCreated | PostUpdated) -> None:
    """A post came into being or changed: know whether it is for sale, and for how much."""
    offer_post(fact=post_fact_of(event))


@handles(PostDeleted)
def sell_no_more(event: PostDeleted) -> None:
    """A post is gone: sell it no more, and give back what was paid too late."""
    close_offer(
        post_id=event.post_id,
        creator_id=event.creator_id,
        sequence=event.sequence,
        deleted_at=event.deleted_at,
        refund_purchases=event.refund_purchases,
    )


def fact_of(event: SubscriptionSnapshot) -> SubscriptionFact:
    """The subscription in our words."""
    return SubscriptionFact(
        subscription_id=event.subscription_id,
        subscriber_id=event.subscriber_id,
        creator_id=event.creator_id,
        tier_id=event.tier_id,
        status=event.status.value,
        access_until=event.access_until,
        sequence=event.sequence,
    )


def charge_of(request: BillingRequest | None) -> CycleCharge | None:
    """The billing request in our words."""
    if request is None:
        return None
    return CycleCharge(
        billing_request_id=request.billing_request_id,
        reason=request.reason.value if request.reason in PaymentOrder.BillingReason.values else None,
        cycle_number=request.cycle_number,
        period_start=request.period_start,
        period_end=request.period_end,
        amount=request.amount,
        currency=request.currency,
        due_at=request.due_at,
        expires_at=request.expires_at,
        payment_method_id=request.payment_method_id,
    )


def refund_of(request: RefundRequest | None) -> RefundDemand | None:
    """The refund request in our words; one for a reason we do not know has no effect."""
    if request is None or request.reason not in REFUND_REASONS:
        return None
    return RefundDemand(payment_id=request.payment_id, amount=request.amount, reason=REFUND_REASONS[request.reason])


def cycle_refund_of(event: SubscriptionCancelled) -> CycleRefund | None:
    """What an immediate cancellation gives back of the running cycle."""
    if event.mode is not CancelMode.IMMEDIATE:
        return None
    if event.refund_policy is RefundPolicy.FULL:
        return CycleRefund(cycle_number=event.cycle_number, period=None, unused_from=event.effective_at)
    start, end = event.current_period_start, event.current_period_end
    if event.refund_policy is RefundPolicy.PRORATED and start and end and start < end:
        return CycleRefund(cycle_number=event.cycle_number, period=(start, end), unused_from=event.effective_at)
    return None


def post_fact_of(event: PostSnapshot) -> PostFact:
    """The post in our words."""
    return PostFact(
        post_id=event.post_id,
        creator_id=event.creator_id,
        sequence=event.sequence,
        on_sale=event.is_on_sale,
        amount=event.price_amount,
        currency=event.price_currency,
        price_version=event.price_version,
        included_tier_ids=event.allowed_tier_ids,
    )


# What `manage.py rebuild_projection` can build anew from the journal: the charges and refunds are rolled back.
projection(
    "subscriptions",
    SubscriptionRef,
    key="subscription_id",
    fed_by=dict.fromkeys((charge_first_cycle, charge_or_refund_as_asked, charge_no_more), "subscription_id"),
    begins_with=SubscriptionCreated,
)
projection(
    "offers",
    PostOffer,
    key="post_id",
    fed_by=dict.fromkeys((follow_the_price, sell_no_more), "post_id"),
    begins_with=PostCreated,
)
