"""What readers may read, as subscriptions and payments told it."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from content.models.projections import Entitlement


@transaction.atomic
def follow_subscription(
    *,
    subscription_id: UUID,
    sequence: int,
    user_id: UUID,
    creator_id: UUID,
    tier_id: UUID,
    valid_from: datetime | None,
    valid_until: datetime | None,
) -> None:
    """Let a subscription open its creator's posts as its newest snapshot says, in whatever order snapshots come."""
    Entitlement.objects.keep_newest(
        key={"kind": Entitlement.Kind.SUBSCRIPTION, "source_id": subscription_id},
        sequence=sequence,
        values={
            "user_id": user_id,
            "creator_id": creator_id,
            "tier_id": tier_id,
            "valid_from": valid_from,
            "valid_until": valid_until,
            "updated_at": timezone.now(),
        },
    )


@transaction.atomic
def grant_purchase(
    *,
    purchase_id: UUID,
    user_id: UUID,
    creator_id: UUID | None,
    post_id: UUID,
    valid_from: datetime,
    valid_until: datetime | None,
) -> None:
    """Let a buyer read the post; where the refund came first, the revocation stays."""
    Entitlement.objects.keep_newest(
        key={"kind": Entitlement.Kind.PURCHASE, "source_id": purchase_id},
        sequence=1,
        values={
            "user_id": user_id,
            "creator_id": creator_id,
            "post_id": post_id,
            "valid_from": valid_from,
            "valid_until": valid_until,
            "updated_at": timezone.now(),
        },
    )


@transaction.atomic
def revoke_purchase(*, purchase_id: UUID, user_id: UUID, post_id: UUID | None, revoked_at: datetime) -> None:
    """Take a refunded purchase away for ever, also one that has not been told yet."""
    key = {"kind": Entitlement.Kind.PURCHASE, "source_id": purchase_id}
    now = timezone.now()
    unknown = Entitlement(**key, user_id=user_id, post_id=post_id, revoked_at=revoked_at, updated_at=now)
    Entitlement.objects.bulk_create([unknown], ignore_conflicts=True)
    Entitlement.objects.filter(**key, revoked_at=None).update(revoked_at=revoked_at, updated_at=now)
