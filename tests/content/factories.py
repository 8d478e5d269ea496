"""Posts made by the services, and the other rooms' events as they would arrive."""

from datetime import timedelta
from uuid import UUID

from django.utils import timezone
from uuid_utils.compat import uuid7

from api.money import Money
from content.models.posts import Post
from content.models.projections import Entitlement, MediaRef, TierRef
from content.services.posts import create_post
from eventbus.models import OutboxEvent
from media.events import (
    MediaDeleted,
    MediaDeletionReason,
    MediaKind,
    MediaProcessed,
    MediaUploaded,
    ProcessingFailure,
    ProcessingStatus,
    Variant,
)
from payments.events import (
    PaymentKind,
    PaymentMetadata,
    PaymentRefunded,
    PostPurchased,
    RefundReason,
    RefundSource,
    TipSent,
)
from subscriptions.events import (
    Change,
    Interval,
    SubscriptionStatus,
    SubscriptionUpdated,
    TierStatus,
    TierUpdated,
)

PRICE = Money(amount=500, currency="USD")


def published_post(creator_id: UUID, **fields) -> Post:
    """A published post whose event has left already."""
    return written_post(creator_id, status=Post.Status.PUBLISHED, **fields)


def draft(creator_id: UUID, **fields) -> Post:
    """A draft whose event has left already."""
    return written_post(creator_id, status=Post.Status.DRAFT, **fields)


def written_post(creator_id: UUID, *, status: str, **fields) -> Post:
    texts = {"title": "A walk", "body": "The whole story", "teaser": "How it began", "visibility": "public"}
    post = create_post(creator_id=creator_id, fields={**texts, **fields}, status=status)
    forget_events()
    return post


def forget_events() -> None:
    """What was published so far is of no interest to the test."""
    OutboxEvent.objects.all().delete()


def tier(creator_id: UUID, **fields) -> TierRef:
    values = {"tier_id": uuid7(), "name": "Gold", "status": "active", "source_sequence": 1, **fields}
    return TierRef.objects.create(creator_id=creator_id, **values)


def media(owner_id: UUID, **fields) -> MediaRef:
    values = {
        "media_id": uuid7(),
        "kind": "image",
        "status": "ready",
        "width": 1280,
        "height": 720,
        "variants": ["thumb_320", "web_1280"],
        "source_sequence": 2,
        **fields,
    }
    return MediaRef.objects.create(owner_id=owner_id, **values)


def subscription(user_id: UUID, creator_id: UUID, **fields) -> Entitlement:
    """A subscription that is live now."""
    now = timezone.now()
    values = {
        "source_id": uuid7(),
        "tier_id": uuid7(),
        "valid_from": now - timedelta(days=1),
        "valid_until": now + timedelta(days=29),
        "source_sequence": 1,
        "updated_at": now,
        **fields,
    }
    return Entitlement.objects.create(kind="subscription", user_id=user_id, creator_id=creator_id, **values)


def purchase(user_id: UUID, post: Post, **fields) -> Entitlement:
    """A purchase that is live now."""
    now = timezone.now()
    values = {
        "source_id": uuid7(),
        "creator_id": post.creator_id,
        "valid_from": now - timedelta(days=1),
        "source_sequence": 1,
        "updated_at": now,
        **fields,
    }
    return Entitlement.objects.create(kind="purchase", user_id=user_id, post_id=post.pk, **values)


def tier_updated(**fields) -> TierUpdated:
    values = {
        "sequence": 2,
        "tier_id": uuid7(),
        "creator_id": uuid7(),
        "name": "Gold",
        "description": None,
        "benefits": (),
        "rank": 0,
        "trial_days": 0,
        "status": TierStatus.ACTIVE,
        "is_public": True,
        "max_subscribers": None,
        "prices": (),
        "archived_at": None,
        "changed_fields": ("name",),
        "previous_status": TierStatus.ACTIVE,
        "updated_at": timezone.now(),
        **fields,
    }
    return TierUpdated(**values)


def subscription_snapshot(**fields) -> dict:
    now = timezone.now()
    return {
        "sequence": 1,
        "subscription_id": uuid7(),
        "subscriber_id": uuid7(),
        "creator_id": uuid7(),
        "tier_id": uuid7(),
        "price_id": uuid7(),
        "status": SubscriptionStatus.ACTIVE,
        "amount": 500,
        "currency": "USD",
        "interval": Interval.MONTH,
        "interval_count": 1,
        "cycle_number": 1,
        "current_period_start": now - timedelta(days=1),
        "current_period_end": now + timedelta(days=29),
        "trial_end_at": None,
        "access_until": now + timedelta(days=29),
        "cancel_at_period_end": False,
        "started_at": now - timedelta(days=1),
        "ended_at": None,
        "end_reason": None,
        "replaces_subscription_id": None,
        **fields,
    }


def subscription_updated(**fields) -> SubscriptionUpdated:
    values = {
        "change": Change.ACTIVATED,
        "previous_status": SubscriptionStatus.INCOMPLETE,
        "previous_tier_id": None,
        "changed_fields": (),
        "billing_request": None,
        "refund_request": None,
        "updated_at": timezone.now(),
        **fields,
    }
    return SubscriptionUpdated(**subscription_snapshot(**values))


def post_purchased(**fields) -> PostPurchased:
    values = {
        "sequence": 1,
        "purchase_id": uuid7(),
        "payment_id": uuid7(),
        "buyer_id": uuid7(),
        "creator_id": uuid7(),
        "post_id": uuid7(),
        "amount": 500,
        "currency": "USD",
        "price_version": 1,
        "purchased_at": timezone.now() - timedelta(hours=1),
        **fields,
    }
    return PostPurchased(**values)


def tip_sent(**fields) -> TipSent:
    values = {
        "sequence": 1,
        "tip_id": uuid7(),
        "payment_id": uuid7(),
        "sender_id": uuid7(),
        "recipient_id": uuid7(),
        "post_id": uuid7(),
        "amount": 300,
        "currency": "USD",
        "creator_net_amount": 250,
        "is_anonymous": False,
        "has_message": False,
        "sent_at": timezone.now(),
        **fields,
    }
    return TipSent(**values)


def refund_of(fact: PostPurchased | TipSent, **fields) -> PaymentRefunded:
    """The whole of this purchase or tip goes back."""
    values = {
        "sequence": 2,
        "payment_id": fact.payment_id,
        "amount": fact.amount,
        "currency": fact.currency,
        "refund_id": uuid7(),
        "refund_amount": fact.amount,
        "refunded_total": fact.amount,
        "is_full": True,
        "reason": RefundReason.REQUESTED_BY_CUSTOMER,
        "revoke_access": True,
        "source": RefundSource.PAYEE,
        "refunded_at": timezone.now(),
    }
    if isinstance(fact, TipSent):
        values |= {
            "kind": PaymentKind.TIP,
            "reference_id": fact.tip_id,
            "payer_id": fact.sender_id,
            "metadata": PaymentMetadata(tip_id=fact.tip_id, post_id=fact.post_id),
        }
    else:
        values |= {
            "kind": PaymentKind.POST_PURCHASE,
            "reference_id": fact.purchase_id,
            "payer_id": fact.buyer_id,
            "metadata": PaymentMetadata(purchase_id=fact.purchase_id, post_id=fact.post_id),
        }
    return PaymentRefunded(**{**values, **fields})


def media_uploaded(**fields) -> MediaUploaded:
    values = {
        "sequence": 1,
        "media_id": uuid7(),
        "owner_id": uuid7(),
        "kind": MediaKind.IMAGE,
        "declared_mime": "image/jpeg",
        "size_bytes": 1000,
        "sha256": None,
        "storage_ref": "test/2026/file",
        "uploaded_at": timezone.now(),
        **fields,
    }
    return MediaUploaded(**values)


def media_processed(**fields) -> MediaProcessed:
    values = {
        "sequence": 2,
        "media_id": uuid7(),
        "owner_id": uuid7(),
        "kind": MediaKind.IMAGE,
        "status": ProcessingStatus.READY,
        "failure_code": None,
        "detected_mime": "image/jpeg",
        "width": 1280,
        "height": 720,
        "duration_ms": None,
        "size_bytes": 1000,
        "variants": (
            Variant(name="web_1280", mime="image/webp", width=1280, height=720, size_bytes=500, duration_ms=None),
        ),
        "processing_ms": 20,
        "processed_at": timezone.now(),
        **fields,
    }
    return MediaProcessed(**values)


def media_rejected(**fields) -> MediaProcessed:
    refusal = {"status": ProcessingStatus.REJECTED, "failure_code": ProcessingFailure.CORRUPT, "variants": ()}
    return media_processed(**{**refusal, **fields})


def media_deleted(**fields) -> MediaDeleted:
    values = {
        "sequence": 3,
        "media_id": uuid7(),
        "owner_id": uuid7(),
        "kind": MediaKind.IMAGE,
        "reason": MediaDeletionReason.POLICY,
        "deleted_at": timezone.now(),
        **fields,
    }
    return MediaDeleted(**values)
