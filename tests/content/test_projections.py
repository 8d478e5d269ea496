"""What other rooms tell content: the same in every order, the same twice as once."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import msgspec
import pytest
from django.db import transaction
from uuid_utils.compat import uuid7

from content.models.projections import Entitlement, MediaRef, PostTip, TierRef
from eventbus.testing import deliver
from media.events import ProcessingStatus
from payments.events import PaymentKind
from subscriptions.events import (
    CancelledBy,
    CancelMode,
    CancelReason,
    RefundPolicy,
    SubscriptionCancelled,
    SubscriptionCreated,
    SubscriptionStatus,
    TierStatus,
)
from tests.content import factories

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def after_every_order(events, look):
    """What `look` sees after each order of the events, every event delivered twice; a list without repetitions."""
    seen = []
    for order in permutations(events):
        with transaction.atomic():
            for event in order:
                deliver(event, to="content")
                # the same fact told again under another id
                deliver(msgspec.structs.replace(event, id=str(uuid7())), to="content")
            state = look()
            if state not in seen:
                seen.append(state)
            transaction.set_rollback(True)  # the next order starts clean
    return seen


def columns(model, *names):
    return lambda: list(model.objects.values_list(*names))


def test_a_subscription_is_as_its_newest_snapshot_says_in_every_order():
    shared = {
        "subscription_id": uuid7(),
        "subscriber_id": uuid7(),
        "creator_id": uuid7(),
        "started_at": NOW,
        "current_period_start": NOW,
    }
    tier = uuid7()
    created = SubscriptionCreated(
        **factories.subscription_snapshot(
            **{
                **shared,
                "sequence": 1,
                "status": SubscriptionStatus.INCOMPLETE,
                "access_until": None,
                "started_at": None,
            }
        ),
        requires_payment=True,
        billing_request=None,
        payment_due_at=None,
        created_at=NOW,
    )
    activated = factories.subscription_updated(**shared, sequence=2, access_until=NOW + timedelta(days=30))
    cancelled = SubscriptionCancelled(
        **factories.subscription_snapshot(
            **shared, sequence=3, tier_id=tier, access_until=NOW + timedelta(days=5), cancel_at_period_end=True
        ),
        mode=CancelMode.AT_PERIOD_END,
        effective_at=NOW + timedelta(days=5),
        requested_at=NOW,
        cancelled_by=CancelledBy.SUBSCRIBER,
        reason=CancelReason.UNUSED,
        refund_policy=RefundPolicy.NONE,
    )

    look = columns(
        Entitlement,
        "kind",
        "source_id",
        "user_id",
        "creator_id",
        "tier_id",
        "valid_from",
        "valid_until",
        "source_sequence",
    )
    assert after_every_order([created, activated, cancelled], look) == [
        [
            (
                "subscription",
                shared["subscription_id"],
                shared["subscriber_id"],
                shared["creator_id"],
                tier,
                NOW,
                NOW + timedelta(days=5),
                3,
            )
        ]
    ]


def test_an_unpaid_subscription_opens_nothing():
    event = factories.subscription_updated(status=SubscriptionStatus.INCOMPLETE, access_until=None)

    deliver(event, to="content")

    assert Entitlement.objects.count() == 1
    assert Entitlement.objects.live(NOW + timedelta(days=10_000)).count() == 0


def test_a_renewal_paid_early_leaves_no_gap():
    event = factories.subscription_updated(
        started_at=NOW - timedelta(days=29),
        current_period_start=NOW + timedelta(days=1),
        access_until=NOW + timedelta(days=31),
    )

    deliver(event, to="content")

    assert Entitlement.objects.live(NOW).count() == 1


def test_a_purchase_opens_the_post_and_a_refund_closes_it_for_ever_in_every_order():
    bought = factories.post_purchased(purchased_at=NOW)
    refunded = factories.refund_of(bought, refunded_at=NOW + timedelta(hours=1))

    look = columns(
        Entitlement, "kind", "source_id", "user_id", "creator_id", "post_id", "valid_from", "valid_until", "revoked_at"
    )
    assert after_every_order([bought, refunded], look) == [
        [
            (
                "purchase",
                bought.purchase_id,
                bought.buyer_id,
                bought.creator_id,
                bought.post_id,
                NOW,
                None,
                NOW + timedelta(hours=1),
            )
        ]
    ]


def test_a_purchase_of_a_producer_that_knows_only_its_payment_is_refunded_too():
    bought = factories.post_purchased(purchase_id=None, creator_id=None)
    refunded = factories.refund_of(bought, reference_id=None)

    states = after_every_order([bought, refunded], columns(Entitlement, "source_id", "post_id", "revoked_at"))

    assert states == [[(bought.payment_id, bought.post_id, refunded.refunded_at)]]


def test_a_refund_that_leaves_access_closes_nothing():
    bought = factories.post_purchased()

    deliver(bought, factories.refund_of(bought, revoke_access=False), to="content")

    assert Entitlement.objects.get().revoked_at is None


def test_buying_again_after_a_refund_opens_again():
    bought = factories.post_purchased()
    again = factories.post_purchased(buyer_id=bought.buyer_id, post_id=bought.post_id)

    deliver(bought, factories.refund_of(bought), again, to="content")

    assert list(Entitlement.objects.live(again.purchased_at).values_list("source_id")) == [(again.purchase_id,)]


def test_a_tip_is_counted_once_and_its_refunds_by_the_largest_total_in_every_order():
    tip = factories.tip_sent(amount=300)
    first = factories.refund_of(tip, refund_amount=100, refunded_total=100, is_full=False)
    second = factories.refund_of(tip, refund_amount=50, refunded_total=150, is_full=False)

    look = columns(PostTip, "tip_id", "post_id", "sender_id", "amount", "currency", "refunded_amount")
    assert after_every_order([tip, first, second], look) == [
        [(tip.tip_id, tip.post_id, tip.sender_id, 300, "USD", 150)]
    ]


def test_a_tip_for_no_post_and_its_refund_are_none_of_contents_business():
    tip = factories.tip_sent(post_id=None)

    deliver(tip, factories.refund_of(tip), to="content")

    assert PostTip.objects.count() == 0


def test_a_refund_of_an_unknown_kind_changes_nothing():
    bought = factories.post_purchased()

    deliver(bought, factories.refund_of(bought, kind=PaymentKind("donation")), to="content")

    assert Entitlement.objects.get().revoked_at is None


def test_a_tier_is_as_its_newest_snapshot_says_in_every_order():
    first = factories.tier_updated(sequence=1)
    shared = {"tier_id": first.tier_id, "creator_id": first.creator_id}
    second = factories.tier_updated(sequence=2, name="Platinum", **shared)
    third = factories.tier_updated(sequence=3, name="Platinum", status=TierStatus.ARCHIVED, **shared)

    states = after_every_order([first, second, third], columns(TierRef, "tier_id", "name", "status", "source_sequence"))

    assert states == [[(first.tier_id, "Platinum", "archived", 3)]]


def test_a_tier_of_an_unknown_status_changes_nothing():
    deliver(factories.tier_updated(status=TierStatus("frozen")), to="content")

    assert TierRef.objects.count() == 0


def test_a_file_is_as_its_newest_event_says_in_every_order():
    uploaded = factories.media_uploaded()
    shared = {"media_id": uploaded.media_id, "owner_id": uploaded.owner_id}
    failed = factories.media_processed(**shared, sequence=2, status=ProcessingStatus.FAILED, variants=(), width=None)
    ready = factories.media_processed(**shared, sequence=3)
    deleted = factories.media_deleted(**shared, sequence=4)

    look = columns(MediaRef, "media_id", "owner_id", "status", "kind", "width", "variants", "source_sequence")
    assert after_every_order([uploaded, failed, ready], look) == [
        [(uploaded.media_id, uploaded.owner_id, "ready", "image", 1280, ["web_1280"], 3)]
    ]
    look = columns(MediaRef, "media_id", "owner_id", "status", "variants", "source_sequence")
    assert after_every_order([uploaded, ready, deleted], look) == [
        [(uploaded.media_id, uploaded.owner_id, "deleted", [], 4)]
    ]


@pytest.mark.parametrize("status", ["half_ready", "quarantined"])
def test_a_file_of_an_unknown_status_changes_nothing(status):
    deliver(factories.media_processed(status=ProcessingStatus(status)), to="content")

    assert MediaRef.objects.count() == 0
