"""Money for tests."""

from datetime import timedelta
from uuid import uuid4

from django.utils import timezone

from content.events import ContentType, Moderation, PostCreated, PostDeleted, PostStatus, PostUpdated, Visibility
from payments.encryption import encrypt
from payments.gateways.sandbox import SandboxGateway
from payments.models.methods import PaymentMethod
from payments.models.projections import PostOffer
from payments.services.methods import add_method
from payments.services.purchases import buy_post
from payments.services.tips import send_tip
from subscriptions.events import (
    BillingReason,
    BillingRequest,
    CancelledBy,
    CancelMode,
    CancelReason,
    Change,
    Interval,
    RefundPolicy,
    SubscriptionCancelled,
    SubscriptionCreated,
    SubscriptionStatus,
    SubscriptionUpdated,
)

OK = "tok_ok"


def make_method(owner_id, *, token=OK):
    return add_method(owner_id=owner_id, token=token, details=SandboxGateway().describe(token))


def use_token(method, token):
    """The same card, behaving differently."""
    PaymentMethod.objects.filter(pk=method.pk).update(encrypted_token=encrypt(token))


def make_offer(creator_id, **fields):
    defaults = {"on_sale": True, "amount": 900, "currency": "USD", "price_version": 3, "source_sequence": 2}
    return PostOffer.objects.create(
        post_id=fields.pop("post_id", uuid4()), creator_id=creator_id, **{**defaults, **fields}
    )


def make_tip(sender, recipient, method, **fields):
    defaults = {"amount": 1000, "currency": "USD"}
    return send_tip(
        sender_id=sender.id, recipient_id=recipient.id, payment_method_id=method.id, **{**defaults, **fields}
    )


def make_purchase(buyer, offer, method):
    return buy_post(
        buyer_id=buyer.id,
        post_id=offer.post_id,
        expected_amount=offer.amount,
        expected_currency=offer.currency,
        payment_method_id=method.id,
    )


def billing_request(**fields):
    now = timezone.now()
    defaults = {
        "billing_request_id": uuid4(),
        "reason": BillingReason.INITIAL,
        "cycle_number": 1,
        "period_start": None,
        "period_end": None,
        "amount": 1299,
        "currency": "USD",
        "due_at": now,
        "expires_at": now + timedelta(hours=23),
        "payment_method_id": None,
    }
    return BillingRequest(**{**defaults, **fields})


class SubscriptionStory:
    """One subscription's events, as its room would tell them."""

    def __init__(self, subscriber_id, creator_id, method_id=None):
        self.subscription_id, self.tier_id, self.price_id = uuid4(), uuid4(), uuid4()
        self.subscriber_id, self.creator_id, self.method_id = subscriber_id, creator_id, method_id

    def snapshot(self, **fields):
        defaults = {
            "subscription_id": self.subscription_id,
            "subscriber_id": self.subscriber_id,
            "creator_id": self.creator_id,
            "tier_id": self.tier_id,
            "price_id": self.price_id,
            "status": SubscriptionStatus.ACTIVE,
            "amount": 1299,
            "currency": "USD",
            "interval": Interval.MONTH,
            "interval_count": 1,
            "cycle_number": 1,
            "current_period_start": None,
            "current_period_end": None,
            "trial_end_at": None,
            "access_until": None,
            "cancel_at_period_end": False,
            "started_at": None,
            "ended_at": None,
            "end_reason": None,
            "replaces_subscription_id": None,
        }
        return {**defaults, **fields}

    def created(self, *, request=None, **fields):
        request = request or billing_request(payment_method_id=self.method_id)
        defaults = {"sequence": 1, "status": SubscriptionStatus.INCOMPLETE, "cycle_number": 0}
        return SubscriptionCreated(
            **self.snapshot(**{**defaults, **fields}),
            requires_payment=True,
            billing_request=request,
            payment_due_at=request.expires_at,
            created_at=timezone.now(),
        )

    def updated(self, sequence, *, change=Change.ACTIVATED, request=None, refund=None, **fields):
        return SubscriptionUpdated(
            **self.snapshot(sequence=sequence, **fields),
            change=change,
            previous_status=SubscriptionStatus.ACTIVE,
            previous_tier_id=None,
            changed_fields=(),
            billing_request=request,
            refund_request=refund,
            updated_at=timezone.now(),
        )

    def ended(self, sequence, **fields):
        fields = {"status": SubscriptionStatus.EXPIRED, "ended_at": timezone.now(), **fields}
        return self.updated(sequence, change=Change.ENDED, **fields)

    def cancelled(self, sequence, *, mode=CancelMode.IMMEDIATE, policy=RefundPolicy.NONE, at=None, **fields):
        now = timezone.now()
        if mode is CancelMode.IMMEDIATE:
            fields = {"status": SubscriptionStatus.CANCELLED, "ended_at": now, **fields}
        return SubscriptionCancelled(
            **self.snapshot(sequence=sequence, **fields),
            mode=mode,
            effective_at=at or now,
            requested_at=now,
            cancelled_by=CancelledBy.SUBSCRIBER,
            reason=CancelReason.OTHER,
            refund_policy=policy,
        )


class PostStory:
    """One post's events, as content would tell them."""

    def __init__(self, creator_id, post_id=None):
        self.creator_id, self.post_id = creator_id, post_id or uuid4()

    def snapshot(self, **fields):
        defaults = {
            "post_id": self.post_id,
            "creator_id": self.creator_id,
            "status": PostStatus.PUBLISHED,
            "moderation": Moderation.CLEAR,
            "content_type": ContentType.IMAGE,
            "visibility": Visibility.PPV,
            "price_amount": 900,
            "price_currency": "USD",
            "price_version": 1,
        }
        return {**defaults, **fields}

    def created(self, sequence=1, **fields):
        return PostCreated(**self.snapshot(sequence=sequence, **fields), created_at=timezone.now())

    def updated(self, sequence, **fields):
        return PostUpdated(**self.snapshot(sequence=sequence, **fields), updated_at=timezone.now())

    def deleted(self, sequence, **fields):
        defaults = {"deleted_at": timezone.now(), "refund_purchases": False}
        return PostDeleted(
            post_id=self.post_id, creator_id=self.creator_id, sequence=sequence, **{**defaults, **fields}
        )
