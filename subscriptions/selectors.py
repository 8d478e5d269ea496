"""Every question about tiers and subscriptions that views, tasks and the admin ask."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from subscriptions.models.subscriptions import Subscription
from subscriptions.models.tiers import Tier

SWEEP = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What somebody may see of a creator; `until` None with access means without end."""

    has_access: bool
    tiers: tuple[UUID, ...]
    until: datetime | None


def tiers_of_creator(creator_id: UUID, *, viewer_id: UUID | None) -> QuerySet[Tier]:
    """The tiers of a creator that the viewer finds: public ones, and those that are theirs or that they hold."""
    return Tier.objects.of_creator(creator_id).listed_for(viewer_id).prefetch_related("prices")


def readable_tiers(*, viewer_id: UUID | None) -> QuerySet[Tier]:
    """The tiers that the viewer may read by id."""
    return Tier.objects.readable_by(viewer_id).prefetch_related("prices")


def own_tiers(creator_id: UUID) -> QuerySet[Tier]:
    """A creator's own tiers, all of them."""
    return Tier.objects.of_creator(creator_id).prefetch_related("prices")


def subscriptions_of(subscriber_id: UUID) -> QuerySet[Subscription]:
    """What somebody subscribed to, ever."""
    return Subscription.objects.filter(subscriber_id=subscriber_id).select_related("tier")


def subscribers_of(creator_id: UUID) -> QuerySet[Subscription]:
    """The subscriptions to a creator that ever gave access."""
    return Subscription.objects.filter(creator_id=creator_id).started().select_related("tier")


def visible_subscriptions(user_id: UUID) -> QuerySet[Subscription]:
    """The subscriptions that somebody is a party to."""
    return Subscription.objects.visible_to(user_id).select_related("tier")


def all_subscriptions() -> QuerySet[Subscription]:
    """Every subscription: for the staff."""
    return Subscription.objects.select_related("tier")


def access_to(creator_id: UUID, *, viewer_id: UUID) -> Access:
    """What the viewer may see of a creator now: everything of oneself, else what is paid."""
    if creator_id == viewer_id:
        return Access(has_access=True, tiers=(), until=None)
    held = list(
        Subscription.objects.between(viewer_id, creator_id)
        .with_access(timezone.now())
        .order_by("-access_until")
        .values_list("tier_id", "access_until")
    )
    if not held:
        return Access(has_access=False, tiers=(), until=None)
    return Access(has_access=True, tiers=tuple(tier_id for tier_id, _ in held), until=held[0][1])


def unpaid_ids(now: datetime) -> list[UUID]:
    """Subscriptions whose time to pay is over, a sweep's worth."""
    return list(Subscription.objects.unpaid_by(now).order_by("next_action_at").values_list("pk", flat=True)[:SWEEP])


def ending_ids(now: datetime) -> list[UUID]:
    """Subscriptions whose scheduled cancellation is due, a sweep's worth."""
    return list(Subscription.objects.ending_by(now).order_by("next_action_at").values_list("pk", flat=True)[:SWEEP])


def given_up_ids(now: datetime) -> list[UUID]:
    """Subscriptions that waited for money for too long, a sweep's worth."""
    return list(Subscription.objects.given_up_by(now).order_by("next_action_at").values_list("pk", flat=True)[:SWEEP])
