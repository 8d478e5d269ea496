"""Every way a tier or its prices change."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from api.concurrency import require_version
from api.exceptions import AmountOutOfRangeError
from api.money import require_currency, require_in_range
from eventbus.outbox import publish
from subscriptions.constraints import refused_by
from subscriptions.events import TierCreated, TierUpdated
from subscriptions.exceptions import (
    FreeAndPaidPricesError,
    PriceExistsError,
    PriceInactiveError,
    PriceOutOfRangeError,
    TierArchivedError,
    TierNameTakenError,
    TierNotArchivedError,
    TooManyTiersError,
)
from subscriptions.models.tiers import Tier, TierPrice

NAME_CONSTRAINT = "one_active_tier_of_a_name_per_creator"
PRICE_CONSTRAINT = "one_active_price_per_period_and_currency"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTerms:
    """A price before it is one: `amount` in minor units of `currency` for each period."""

    interval: str
    amount: int
    currency: str
    interval_count: int = 1


class TierChanges(TypedDict, total=False):
    """What a creator may change about a tier; what is missing stays."""

    name: str
    description: str
    benefits: list[str]
    rank: int
    trial_days: int
    is_public: bool
    max_subscribers: int | None


@transaction.atomic
def create_tier(
    *,
    creator_id: UUID,
    name: str,
    prices: Sequence[PriceTerms],
    description: str = "",
    benefits: Sequence[str] = (),
    rank: int = 0,
    trial_days: int = 0,
    is_public: bool = True,
    max_subscribers: int | None = None,
) -> Tier:
    """Offer a new tier with its prices."""
    require_prices(prices)
    require_room_for_a_tier(creator_id)

    tier = Tier(
        creator_id=creator_id,
        name=name,
        description=description,
        benefits=list(benefits),
        rank=rank,
        trial_days=trial_days,
        is_public=is_public,
        max_subscribers=max_subscribers,
    )
    tier.updated_at = tier.created_at
    with refused_by(NAME_CONSTRAINT, TierNameTakenError):
        tier.save(force_insert=True)
    for terms in prices:
        insert_price(tier, terms)
    publish(TierCreated.of(tier))
    return tier


@transaction.atomic
def update_tier(*, tier_id: UUID, version: int, changes: TierChanges) -> Tier:
    """Change a tier's text, place or cap; refused when somebody changed it since that version."""
    tier = lock_tier(tier_id)
    require_version(actual=tier.version, expected=version)
    if tier.is_archived:
        raise TierArchivedError
    changed = assign(tier, changes)
    if not changed:
        return tier

    with refused_by(NAME_CONSTRAINT, TierNameTakenError):
        write(tier, changed)
    publish(TierUpdated.of(tier, changed_fields=changed))
    return tier


@transaction.atomic
def add_price(*, tier_id: UUID, terms: PriceTerms) -> TierPrice:
    """Offer the tier at one more price."""
    tier = lock_tier(tier_id)
    if tier.is_archived:
        raise TierArchivedError
    require_prices([*(terms_of(price) for price in tier.prices.all()), terms])

    price = insert_price(tier, terms)
    write(tier, ())
    publish(TierUpdated.of(tier, changed_fields=["prices"]))
    return price


@transaction.atomic
def deactivate_price(*, tier_id: UUID, price_id: UUID) -> TierPrice:
    """Offer a price no longer; who came at it keeps it."""
    tier = lock_tier(tier_id)
    price = tier.prices.get(pk=price_id)
    if not price.active:
        raise PriceInactiveError

    price.active = False
    price.save(update_fields=["active"])
    write(tier, ())
    publish(TierUpdated.of(tier, changed_fields=["prices"]))
    return price


@transaction.atomic
def archive_tier(*, tier_id: UUID) -> Tier:
    """Let nobody new in; who is in stays."""
    tier = lock_tier(tier_id)
    if tier.is_archived:
        raise TierArchivedError

    tier.status = Tier.Status.ARCHIVED
    tier.archived_at = timezone.now()
    write(tier, ("status", "archived_at"))
    publish(TierUpdated.of(tier, changed_fields=["status", "archived_at"], previous_status=Tier.Status.ACTIVE))
    return tier


@transaction.atomic
def restore_tier(*, tier_id: UUID) -> Tier:
    """Offer an archived tier again."""
    tier = lock_tier(tier_id)
    if not tier.is_archived:
        raise TierNotArchivedError
    require_room_for_a_tier(tier.creator_id)

    tier.status = Tier.Status.ACTIVE
    tier.archived_at = None
    with refused_by(NAME_CONSTRAINT, TierNameTakenError):
        write(tier, ("status", "archived_at"))
    publish(TierUpdated.of(tier, changed_fields=["status", "archived_at"], previous_status=Tier.Status.ARCHIVED))
    return tier


def lock_tier(tier_id: UUID) -> Tier:
    """The tier, ours until the transaction ends; subscribing, which only refers to it, goes on."""
    return Tier.objects.select_for_update(no_key=True).get(pk=tier_id)


def require_room_for_a_tier(creator_id: UUID) -> None:
    """Refuse one active tier more than a creator may have."""
    Tier.objects.lock_creator(creator_id)
    if Tier.objects.of_creator(creator_id).active().count() >= Tier.MAX_ACTIVE:
        raise TooManyTiersError


def require_prices(prices: Iterable[PriceTerms]) -> None:
    """Refuse an amount that is neither zero nor payable, and a tier that is free in part."""
    prices = list(prices)
    for terms in prices:
        require_price(terms)
    if len({terms.amount == 0 for terms in prices}) > 1:
        raise FreeAndPaidPricesError


def require_price(terms: PriceTerms) -> None:
    """Refuse an amount that is neither zero nor payable in its currency."""
    require_currency(terms.currency)
    if terms.amount == 0:
        return
    try:
        require_in_range(amount=terms.amount, currency=terms.currency)
    except AmountOutOfRangeError as error:
        raise PriceOutOfRangeError(error.detail) from error


def terms_of(price: TierPrice) -> PriceTerms:
    """The terms of a price that exists."""
    return PriceTerms(
        interval=price.interval, interval_count=price.interval_count, amount=price.amount, currency=price.currency
    )


def insert_price(tier: Tier, terms: PriceTerms) -> TierPrice:
    """Add the row; only the constraint knows whether there is another for that period and currency."""
    price = TierPrice(
        tier=tier,
        interval=terms.interval,
        interval_count=terms.interval_count,
        amount=terms.amount,
        currency=terms.currency,
    )
    with refused_by(PRICE_CONSTRAINT, PriceExistsError):
        price.save(force_insert=True)
    return price


def assign(tier: Tier, changes: TierChanges) -> list[str]:
    """Set what differs, none but what TierChanges names, and say what it was."""
    values: dict[str, Any] = dict(changes)
    strangers = values.keys() - TierChanges.__annotations__.keys()
    if strangers:
        raise ValueError(f"Not to be changed here: {', '.join(sorted(strangers))}")
    changed = [name for name, value in values.items() if getattr(tier, name) != value]
    for name in changed:
        setattr(tier, name, values[name])
    return changed


def write(tier: Tier, fields: Iterable[str]) -> None:
    """Save the fields with the next version and sequence."""
    tier.version += 1
    tier.sequence += 1
    tier.updated_at = timezone.now()
    tier.save(update_fields=[*fields, "version", "sequence", "updated_at"])
