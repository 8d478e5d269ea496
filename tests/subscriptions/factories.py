"""Users, tiers, subscriptions and payment events as the tests of this room need them."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from accounts.models import CreatorProfile, User
from eventbus.models import OutboxEvent
from payments.events import (
    FailureCode,
    PaymentCompleted,
    PaymentFailed,
    PaymentKind,
    PaymentMetadata,
    PaymentRefunded,
    RefundReason,
    RefundSource,
)
from subscriptions.models.subscriptions import Subscription
from subscriptions.models.tiers import Tier, TierPrice
from subscriptions.services.checkout import subscribe
from subscriptions.services.payments import activate
from subscriptions.services.tiers import PriceTerms, create_tier

PAID_AT = datetime(2031, 1, 31, 12, 0, tzinfo=UTC)

_numbers = count()


def make_user(**fields: Any) -> User:
    number = next(_numbers)
    return User.objects.create(email=f"fan{number}@example.com", display_name=f"Fan {number}", **fields)


def make_creator(**profile: Any) -> User:
    user = make_user()
    CreatorProfile.objects.create(user=user, handle=f"creator{next(_numbers)}", **profile)
    return user


def monthly(amount: int = 500, currency: str = "USD") -> PriceTerms:
    return PriceTerms(interval="month", amount=amount, currency=currency)


def make_tier(creator: User, *prices: PriceTerms, name: str = "", **fields: Any) -> Tier:
    return create_tier(
        creator_id=creator.id, name=name or f"Tier {next(_numbers)}", prices=prices or (monthly(),), **fields
    )


def price_of(tier: Tier) -> TierPrice:
    return tier.prices.get()


def choose(tier: Tier, fan: User, **changes: Any) -> Subscription:
    price = price_of(tier)
    choice = {
        "subscriber_id": fan.id,
        "tier_id": tier.id,
        "price_id": price.id,
        "expected_amount": price.amount,
        "expected_currency": price.currency,
        "payment_method_id": uuid4(),
    }
    return subscribe(**{**choice, **changes})


def make_active(tier: Tier, fan: User, *, paid_at: datetime, payment_id: UUID | None = None) -> Subscription:
    subscription = choose(tier, fan)
    return activate(
        subscription_id=subscription.id,
        payment_id=payment_id or uuid4(),
        amount=subscription.amount,
        currency=subscription.currency,
        cycle=1,
        paid_at=paid_at,
    )


def forget_events() -> None:
    OutboxEvent.objects.all().delete()


def _facts(subscription: Subscription, fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "payment_id": uuid4(),
        "reference_id": subscription.id,
        "payer_id": subscription.subscriber_id,
        "payee_id": subscription.creator_id,
        "amount": subscription.amount,
        "currency": subscription.currency,
        "kind": PaymentKind.SUBSCRIPTION,
        "metadata": PaymentMetadata(subscription_id=subscription.id),
        "cycle_number": subscription.cycle_number + 1,
        **fields,
    }


def completed(subscription: Subscription, **fields: Any) -> PaymentCompleted:
    return PaymentCompleted(**_facts(subscription, {"completed_at": PAID_AT, **fields}))


def failed(subscription: Subscription, **fields: Any) -> PaymentFailed:
    given = {"failure_code": FailureCode.CARD_DECLINED, "final": True, "failed_at": PAID_AT, **fields}
    return PaymentFailed(**_facts(subscription, given))


def refunded(subscription: Subscription, **fields: Any) -> PaymentRefunded:
    given = {
        "refund_id": uuid4(),
        "refund_amount": subscription.amount,
        "refunded_total": subscription.amount,
        "is_full": True,
        "reason": RefundReason.REQUESTED_BY_CUSTOMER,
        "revoke_access": True,
        "source": RefundSource.PAYEE,
        "refunded_at": PAID_AT + timedelta(hours=1),
        **fields,
    }
    return PaymentRefunded(**_facts(subscription, given))
