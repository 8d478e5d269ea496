"""How content answers the other rooms, and its own readers."""

from collections.abc import Sequence
from uuid import UUID

from content.events import CommentCreated, PostLiked, PostUnliked
from content.models.projections import Entitlement, LikeSignal, MediaRef, PostTip, TierRef
from content.services import entitlements, references, tips, trending
from eventbus.handlers import handles, handles_many
from eventbus.rebuild.projections import projection
from media.events import MediaDeleted, MediaKind, MediaProcessed, MediaUploaded, ProcessingStatus
from payments.events import PaymentKind, PaymentRefunded, PostPurchased, TipSent
from subscriptions.events import (
    SubscriptionCancelled,
    SubscriptionCreated,
    SubscriptionSnapshot,
    SubscriptionUpdated,
    TierCreated,
    TierSnapshot,
    TierStatus,
    TierUpdated,
)


@handles(TierCreated, TierUpdated)
def keep_tier(event: TierSnapshot) -> None:
    """Know which tiers a creator can choose for a post."""
    if event.status in set(TierStatus):
        references.keep_tier(
            tier_id=event.tier_id,
            sequence=event.sequence,
            creator_id=event.creator_id,
            name=event.name,
            status=event.status.value,
        )


@handles(SubscriptionCreated, SubscriptionUpdated, SubscriptionCancelled)
def follow_subscription(event: SubscriptionSnapshot) -> None:
    """Open and close a creator's posts for a subscriber."""
    entitlements.follow_subscription(
        subscription_id=event.subscription_id,
        sequence=event.sequence,
        user_id=event.subscriber_id,
        creator_id=event.creator_id,
        tier_id=event.tier_id,
        valid_from=event.started_at or event.current_period_start,
        valid_until=event.access_until,
    )


@handles(PostPurchased)
def grant_purchase(event: PostPurchased) -> None:
    """Open a bought post for its buyer."""
    entitlements.grant_purchase(
        purchase_id=event.source_id,
        user_id=event.buyer_id,
        creator_id=event.creator_id,
        post_id=event.post_id,
        valid_from=event.purchased_at,
        valid_until=event.access_expires_at,
    )


@handles(TipSent)
def record_tip(event: TipSent) -> None:
    """Count a tip that was given for a post."""
    if event.post_id is not None:
        tips.record_tip(
            tip_id=event.tip_id,
            post_id=event.post_id,
            sender_id=event.sender_id,
            amount=event.amount,
            currency=event.currency,
        )


@handles(PaymentRefunded)
def revoke_refunded_purchase(event: PaymentRefunded) -> None:
    """Close a post whose price went back."""
    purchase_id = refunded_purchase(event)
    if purchase_id and event.revoke_access:
        entitlements.revoke_purchase(
            purchase_id=purchase_id,
            user_id=event.payer_id,
            post_id=event.metadata.post_id,
            revoked_at=event.refunded_at,
        )


@handles(PaymentRefunded)
def record_tip_refund(event: PaymentRefunded) -> None:
    """Count what went back of a tip that was given for a post."""
    tip_id = refunded_tip(event)
    if tip_id and event.metadata.post_id and event.currency:
        tips.record_tip_refund(
            tip_id=tip_id,
            post_id=event.metadata.post_id,
            sender_id=event.payer_id,
            amount=event.amount,
            currency=event.currency,
            refunded_total=event.refunded_total,
        )


def refunded_purchase(event: PaymentRefunded) -> UUID | None:
    """The purchase that was refunded, if it was one; another producer may only know its payment."""
    if event.kind is not PaymentKind.POST_PURCHASE:
        return None
    return event.metadata.purchase_id or event.reference_id or event.payment_id


def refunded_tip(event: PaymentRefunded) -> UUID | None:
    """The tip that was refunded, if it was one."""
    if event.kind is not PaymentKind.TIP:
        return None
    return event.metadata.tip_id or event.reference_id


@handles(MediaUploaded)
def keep_uploaded_media(event: MediaUploaded) -> None:
    """Know a file that can be put into a draft."""
    if event.kind in set(MediaKind):
        references.keep_uploaded_media(
            media_id=event.media_id, sequence=event.sequence, owner_id=event.owner_id, kind=event.kind.value
        )


@handles(MediaProcessed)
def keep_processed_media(event: MediaProcessed) -> None:
    """Know a file that can be shown, and publish what waited for it."""
    if event.kind in set(MediaKind) and event.status in set(ProcessingStatus):
        references.keep_processed_media(
            media_id=event.media_id,
            sequence=event.sequence,
            owner_id=event.owner_id,
            kind=event.kind.value,
            status=event.status.value,
            width=event.width,
            height=event.height,
            duration_ms=event.duration_ms,
            variants=[variant.name for variant in event.variants],
            placeholder=event.placeholder,
        )


@handles(MediaDeleted)
def drop_media(event: MediaDeleted) -> None:
    """Take a file that is gone out of every post."""
    references.drop_media(
        media_id=event.media_id,
        sequence=event.sequence,
        owner_id=event.owner_id,
        kind=event.kind.value if event.kind in set(MediaKind) else "",
    )


@handles_many(PostLiked, PostUnliked)
def note_likes(events: Sequence[PostLiked | PostUnliked]) -> None:
    """Let likes count for trending, and those that were taken back no longer."""
    trending.note_likes(
        signals=[
            LikeSignal(
                post_id=event.post_id,
                user_id=event.user_id,
                revision=event.revision,
                active=isinstance(event, PostLiked),
            )
            for event in events
        ]
    )


@handles_many(CommentCreated)
def note_comments(events: Sequence[CommentCreated]) -> None:
    """Let comments count for trending."""
    trending.note_comments(post_ids=[event.post_id for event in events])


# What `manage.py rebuild_projection` can build anew from the journal.
projection("tiers", TierRef, key="tier_id", fed_by={keep_tier: "tier_id"}, begins_with=TierCreated)
projection(
    "files",
    MediaRef,
    key="media_id",
    fed_by={keep_uploaded_media: "media_id", keep_processed_media: "media_id", drop_media: "media_id"},
    begins_with=MediaUploaded,
)
projection(
    "subscriptions",
    Entitlement,
    key="source_id",
    kind=Entitlement.Kind.SUBSCRIPTION,
    fed_by={follow_subscription: "subscription_id"},
    begins_with=SubscriptionCreated,
)
projection(
    "purchases",
    Entitlement,
    key="source_id",
    kind=Entitlement.Kind.PURCHASE,
    fed_by={grant_purchase: "source_id", revoke_refunded_purchase: refunded_purchase},
    begins_with=PostPurchased,
)
projection(
    "tips",
    PostTip,
    key="tip_id",
    fed_by={record_tip: "tip_id", record_tip_refund: refunded_tip},
    begins_with=TipSent,
)
