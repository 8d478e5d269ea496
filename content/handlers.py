"""How content answers the other rooms, and its own readers."""

from content.events import CommentCreated, PostLiked, PostUnliked
from content.services import entitlements, references, tips, trending
from eventbus.handlers import handles
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
    if event.kind is PaymentKind.POST_PURCHASE and event.revoke_access:
        entitlements.revoke_purchase(
            purchase_id=event.metadata.purchase_id or event.reference_id or event.payment_id,
            user_id=event.payer_id,
            post_id=event.metadata.post_id,
            revoked_at=event.refunded_at,
        )


@handles(PaymentRefunded)
def record_tip_refund(event: PaymentRefunded) -> None:
    """Count what went back of a tip that was given for a post."""
    tip_id = event.metadata.tip_id or event.reference_id
    if event.kind is PaymentKind.TIP and tip_id and event.metadata.post_id and event.currency:
        tips.record_tip_refund(
            tip_id=tip_id,
            post_id=event.metadata.post_id,
            sender_id=event.payer_id,
            amount=event.amount,
            currency=event.currency,
            refunded_total=event.refunded_total,
        )


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


@handles(PostLiked)
def note_like(event: PostLiked) -> None:
    """Let a like count for trending."""
    trending.note_like(post_id=event.post_id, user_id=event.user_id, revision=event.revision, active=True)


@handles(PostUnliked)
def note_unlike(event: PostUnliked) -> None:
    """Let a like that was taken back no longer count for trending."""
    trending.note_like(post_id=event.post_id, user_id=event.user_id, revision=event.revision, active=False)


@handles(CommentCreated)
def note_comment(event: CommentCreated) -> None:
    """Let a comment count for trending."""
    trending.note_comments(post_id=event.post_id)
