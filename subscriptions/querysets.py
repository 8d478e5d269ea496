"""The questions this room asks its tables, in words."""

from datetime import datetime
from typing import TYPE_CHECKING, Self
from uuid import UUID

from django.db import connection, models
from django.db.models import Exists, OuterRef, Q

if TYPE_CHECKING:
    from subscriptions.models import Subscription, Tier, TierPrice

LIVE = ("incomplete", "trialing", "active", "past_due")
RUNNING = ("trialing", "active", "past_due")
TERMINAL = ("cancelled", "expired")


class TierQuerySet(models.QuerySet["Tier"]):
    """Questions about tiers."""

    def active(self) -> Self:
        """Tiers that can be chosen."""
        return self.filter(status="active")

    def of_creator(self, creator_id: UUID) -> Self:
        """A creator's own tiers."""
        return self.filter(creator_id=creator_id)

    def readable_by(self, viewer_id: UUID | None) -> Self:
        """Tiers that one may read when one knows their id: active ones, one's own, and those one holds."""
        return self.filter(Q(status="active") | self._belongs_to(viewer_id))

    def listed_for(self, viewer_id: UUID | None) -> Self:
        """Tiers that one finds in a list: public active ones, one's own, and those one holds."""
        return self.filter(Q(status="active", is_public=True) | self._belongs_to(viewer_id))

    def lock_creator(self, creator_id: UUID) -> None:
        """Let no other transaction activate a tier of this creator until this one ends: a count has no row to lock."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"tiers of {creator_id}"])

    def _belongs_to(self, viewer_id: UUID | None) -> Q:
        if viewer_id is None:
            return Q(pk__in=[])
        held = self.model._meta.get_field("subscriptions").related_model._default_manager.filter(
            tier=OuterRef("pk"), subscriber_id=viewer_id, status__in=RUNNING
        )
        return Q(creator_id=viewer_id) | Q(Exists(held))


class TierPriceQuerySet(models.QuerySet["TierPrice"]):
    """Questions about prices."""

    def active(self) -> Self:
        """Prices that can be chosen."""
        return self.filter(active=True)


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    """Questions about subscriptions."""

    def live(self) -> Self:
        """Subscriptions that are not over, paid or not."""
        return self.filter(status__in=LIVE)

    def between(self, subscriber_id: UUID, creator_id: UUID) -> Self:
        """What there is, and was, between a fan and a creator."""
        return self.filter(subscriber_id=subscriber_id, creator_id=creator_id)

    def started(self) -> Self:
        """Subscriptions that gave access at some time: the only ones a creator hears of."""
        return self.filter(started_at__isnull=False)

    def visible_to(self, user_id: UUID) -> Self:
        """One's own subscriptions, and those to oneself that ever started."""
        return self.filter(Q(subscriber_id=user_id) | Q(creator_id=user_id, started_at__isnull=False))

    def with_access(self, now: datetime) -> Self:
        """Subscriptions whose holder may look now."""
        return self.filter(status__in=RUNNING, access_until__gt=now)

    def unpaid_by(self, now: datetime) -> Self:
        """Incomplete subscriptions whose time to pay is over."""
        return self.filter(status="incomplete", next_action_at__lte=now)

    def ending_by(self, now: datetime) -> Self:
        """Subscriptions whose scheduled cancellation is due."""
        return self.filter(status__in=RUNNING, cancel_at_period_end=True, next_action_at__lte=now)
