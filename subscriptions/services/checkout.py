"""How a subscription begins."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.selectors import is_active, is_blocked_between
from api.exceptions import BlockedError
from eventbus.outbox import publish
from subscriptions.constraints import refused_by, violated_constraint
from subscriptions.events import (
    BillingRequest,
    CancelledBy,
    CancelMode,
    CancelReason,
    RefundPolicy,
    SubscriptionCreated,
)
from subscriptions.exceptions import (
    AlreadySubscribedError,
    OwnTierError,
    PaymentMethodRequiredError,
    PriceChangedError,
    TierNotAvailableError,
    TrialAlreadyUsedError,
    TrialNotOfferedError,
)
from subscriptions.models.history import RequestedPayment, SubscriptionPeriod, TrialUse
from subscriptions.models.subscriptions import Subscription
from subscriptions.models.tiers import Tier, TierPrice
from subscriptions.services.changes import remember, write_cancellation
from subscriptions.services.expiry import end_term, has_lapsed
from subscriptions.services.places import require_place
from subscriptions.services.requests import as_told
from subscriptions.timing import PAYMENT_WINDOW

TRIAL_CONSTRAINT = "one_trial_per_creator_for_ever"
LIVE_CONSTRAINT = "one_live_subscription_per_creator"
ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the subscriber chose, and what it would be paid with."""

    subscriber_id: UUID
    price: TierPrice
    payment_method_id: UUID | None
    trial_days: int

    @property
    def tier(self) -> Tier:
        """The tier of the chosen price."""
        return self.price.tier

    def is_of(self, subscription: Subscription) -> bool:
        """Whether that subscription, which awaits its first payment, is the same wish, made before."""
        return self.trial_days == 0 and subscription.tier_id == self.tier.id and subscription.price_id == self.price.id


@transaction.atomic
def subscribe(
    *,
    subscriber_id: UUID,
    tier_id: UUID,
    price_id: UUID,
    expected_amount: int,
    expected_currency: str,
    payment_method_id: UUID | None = None,
    trial: bool | None = None,
) -> Subscription:
    """Begin a subscription: at once when it is free or on trial, else as soon as its first payment comes.

    `trial` None means as the tier offers: who has had their trial is refused, for they expect to pay nothing today.
    Asked again while a first payment is awaited, the same choice gives the same subscription; another replaces it.
    """
    price = available_price(tier_id=tier_id, price_id=price_id, subscriber_id=subscriber_id)
    if not price.active or (price.amount, price.currency) != (expected_amount, expected_currency):
        raise PriceChangedError
    if price.amount > 0 and payment_method_id is None:
        raise PaymentMethodRequiredError
    offered = price.tier.trial_days if price.amount > 0 else 0
    if trial and not offered:
        raise TrialNotOfferedError

    choice = Choice(
        subscriber_id=subscriber_id,
        price=price,
        payment_method_id=payment_method_id,
        trial_days=0 if trial is False else offered,
    )
    for _ in range(ROUNDS):
        try:
            with transaction.atomic():
                return open_subscription(choice)
        except IntegrityError as error:
            # Another request of the same fan was faster; what it left decides what this one finds.
            if violated_constraint(error) != LIVE_CONSTRAINT:
                raise
    raise AlreadySubscribedError


def available_price(*, tier_id: UUID, price_id: UUID, subscriber_id: UUID) -> TierPrice:
    """The price, if its tier is one that the subscriber may choose."""
    price = TierPrice.objects.select_related("tier").filter(pk=price_id, tier_id=tier_id).first()
    if price is None or price.tier.is_archived:
        raise TierNotAvailableError
    if price.tier.creator_id == subscriber_id:
        raise OwnTierError
    if not is_active(price.tier.creator_id):
        raise TierNotAvailableError
    if is_blocked_between(price.tier.creator_id, subscriber_id):
        raise BlockedError
    return price


def open_subscription(choice: Choice) -> Subscription:
    """The subscription of this choice: the one that awaits its payment, or a new one in place of what it replaces.

    One whose paid time is over gives way too, or a fan without access could not pay for it again.
    """
    between = Subscription.objects.between(choice.subscriber_id, choice.tier.creator_id)
    present = between.live().select_for_update().first()
    if present is not None and has_lapsed(present):
        end_term(present)
        present = None
    if present is not None and present.status != Subscription.Status.INCOMPLETE:
        raise AlreadySubscribedError
    if present is not None and choice.is_of(present):
        return present

    if present is not None:
        replace(present)
    require_place(choice.tier)
    return insert(choice, replaces=present)


def replace(subscription: Subscription) -> None:
    """End an unpaid subscription because its subscriber chose otherwise."""
    now = timezone.now()
    previous_status = subscription.status
    subscription.end(Subscription.Status.CANCELLED, reason=Subscription.EndReason.REPLACED, at=now)
    subscription.cancel_requested_at = now
    write_cancellation(
        subscription,
        mode=CancelMode.IMMEDIATE,
        previous_status=previous_status,
        effective_at=now,
        cancelled_by=CancelledBy.SUBSCRIBER,
        reason=CancelReason.OTHER,
        refund_policy=RefundPolicy.NONE,
        fields=(*Subscription.END_FIELDS, "cancel_requested_at"),
    )


def insert(choice: Choice, *, replaces: Subscription | None) -> Subscription:
    """Write the new subscription and tell the other rooms, with what to charge when money is due."""
    now = timezone.now()
    price = choice.price
    subscription = Subscription(
        subscriber_id=choice.subscriber_id,
        creator_id=choice.tier.creator_id,
        tier=choice.tier,
        price=price,
        amount=price.amount,
        currency=price.currency,
        interval=price.interval,
        interval_count=price.interval_count,
        status=Subscription.Status.INCOMPLETE,
        payment_method_id=choice.payment_method_id,
        replaces_subscription=replaces,
        created_at=now,
        updated_at=now,
    )
    request = None
    if price.amount == 0:
        begin_free(subscription)
    elif choice.trial_days:
        begin_trial(subscription, days=choice.trial_days)
    else:
        request = begin_unpaid(subscription)
    remember(subscription, change="created", from_status="")
    publish(SubscriptionCreated.of(subscription, billing_request=request))
    return subscription


def begin_free(subscription: Subscription) -> None:
    """Let the fan in for a first period that costs nothing."""
    subscription.start_period(*subscription.next_period(subscription.price, since=subscription.created_at))
    subscription.save(force_insert=True)
    SubscriptionPeriod.of(subscription, payment=None).save(force_insert=True)


def begin_trial(subscription: Subscription, *, days: int) -> None:
    """Let the fan in for as long as the trial lasts; only the constraint knows whether they have had one."""
    now = subscription.created_at
    subscription.start_trial(now, now + timedelta(days=days))
    subscription.save(force_insert=True)
    use = TrialUse(
        subscriber_id=subscription.subscriber_id, creator_id=subscription.creator_id, subscription=subscription
    )
    with refused_by(TRIAL_CONSTRAINT, TrialAlreadyUsedError):
        use.save(force_insert=True)


def begin_unpaid(subscription: Subscription) -> BillingRequest:
    """Let the fan wait for the first payment, and say what payments shall charge."""
    now = subscription.created_at
    subscription.payment_due_at = subscription.next_action_at = now + PAYMENT_WINDOW
    subscription.save(force_insert=True)
    request = RequestedPayment(
        subscription=subscription,
        reason=RequestedPayment.Reason.INITIAL,
        cycle_number=subscription.due_cycle,
        price=subscription.price,
        amount=subscription.amount,
        currency=subscription.currency,
        due_at=now,
        expires_at=now + PAYMENT_WINDOW,
    )
    request.save(force_insert=True)
    return as_told(request, payment_method_id=subscription.payment_method_id)
