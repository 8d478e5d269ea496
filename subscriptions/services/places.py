"""The places of a capped tier: who is in, and who is about to be."""

from subscriptions.exceptions import TierFullError
from subscriptions.models.history import RequestedPayment
from subscriptions.models.subscriptions import Subscription
from subscriptions.models.tiers import Tier


def require_place(tier: Tier) -> None:
    """Refuse when a capped tier is full; counting holds the tier, so two cannot take the last place."""
    if tier.max_subscribers is None:
        return
    locked = Tier.objects.select_for_update(no_key=True).get(pk=tier.pk)
    if locked.max_subscribers is not None and places_taken(locked) >= locked.max_subscribers:
        raise TierFullError


def places_taken(tier: Tier) -> int:
    """Those who are in, those who will come in at their renewal, and those whose change is being paid."""
    elsewhere = Subscription.objects.live().exclude(tier=tier)
    changing = RequestedPayment.objects.filter(
        state=RequestedPayment.State.OPEN, reason=RequestedPayment.Reason.PRORATION, price__tier=tier
    )
    return (
        tier.subscriptions.live().count()
        + elsewhere.filter(pending_price__tier=tier).count()
        + changing.exclude(subscription__tier=tier).exclude(subscription__pending_price__tier=tier).count()
    )
