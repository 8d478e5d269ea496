"""Rows for every page of the admin, made as the rooms make them."""

from datetime import timedelta
from itertools import count

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken
from uuid_utils.compat import uuid7

from accounts.services import block_user
from api.models import IdempotencyRecord
from content.access import Viewer
from content.models.projections import LikeSignal, PostTip, PostTrend
from content.services.comments import add_comment
from content.services.likes import like_post
from content.services.moderation import hide_comment
from content.services.reports import report_post
from eventbus.models import (
    BreakerRule,
    ConsumerWorker,
    HeldKey,
    InboxEvent,
    JournalEvent,
    OperatorAction,
    OutboxEvent,
    ParkedEvent,
    PausedTopic,
    RelayBucket,
    RelayWorker,
    Replay,
)
from eventbus.testing import deliver
from media.services.verification import verify_all
from payments.gateways.sandbox import SandboxGateway
from payments.models.refunds import Refund
from payments.models.sandbox import SandboxDispute
from payments.models.webhooks import GatewayEvent
from payments.services.charging import charge
from payments.services.disputes import follow_dispute
from payments.services.refunds import refund_payment, send_refund
from subscriptions.models.subscriptions import Subscription
from tests.accounts.factories import make_creator, make_user
from tests.content import factories as content
from tests.media import factories as media
from tests.payments import factories as payments
from tests.subscriptions import factories as subscriptions

numbers = count(1)


def make_accounts():
    creator = make_creator()
    RefreshToken.for_user(creator).blacklist()
    block_user(blocker_id=creator.pk, blocked_id=make_user().pk)


def make_api():
    now = timezone.now()
    IdempotencyRecord.objects.create(
        user_id=uuid7(),
        endpoint="POST /api/v1/tips",
        key=f"key-{next(numbers)}",
        request_hash="0" * 64,
        locked_until=now + timedelta(minutes=1),
        expires_at=now + timedelta(hours=72),
    )


def make_admin():
    user = make_user()
    LogEntry.objects.log_actions(user.pk, [user], action_flag=CHANGE, change_message="Suspended: spam")


def make_auth():
    Group.objects.create(name=f"Group {next(numbers)}")


def make_content():
    creator_id, reader = uuid7(), Viewer(user_id=uuid7())
    tier, file = content.tier(creator_id), content.media(creator_id)
    post = content.published_post(creator_id, media_ids=[file.pk])
    content.published_post(creator_id, visibility="tiers", tier_ids=[tier.pk])
    like_post(post_id=post.pk, viewer=reader)
    comment = add_comment(post_id=post.pk, viewer=reader, body="Hello")
    hide_comment(comment_id=comment.pk, actor_id=uuid7(), reason="Against the rules")
    content.subscription(reader.user_id, creator_id)
    content.purchase(reader.user_id, post)
    PostTip.objects.create(tip_id=uuid7(), post_id=post.pk, sender_id=reader.user_id, amount=250, currency="USD")
    report_post(post_id=post.pk, viewer=reader, member_since=timezone.now(), reason="spam", comment="Sells shoes")
    LikeSignal.objects.create(post_id=post.pk, user_id=reader.user_id, revision=1, active=True)
    PostTrend.objects.get_or_create(post=post)
    content.forget_events()


def make_eventbus():
    number, now = next(numbers), timezone.now()
    worker = RelayWorker.objects.create(id=uuid7(), host="relay", pid=number, expires_at=now)
    RelayBucket.objects.create(bucket=number, owner=worker.pk, expires_at=now)
    waiting = OutboxEvent.objects.create(
        event_id=uuid7(),
        bucket=0,
        topic="payment.tip.sent",
        key=f"key-{number}",
        payload=b'{"id": "1"}',
        headers={"source": "payments"},
        aggregate_type="tip",
        aggregate_id=str(number),
        sequence=1,
    )
    HeldKey.objects.create(topic=waiting.topic, key=waiting.key, outbox_id=waiting.pk, reason="too large")
    InboxEvent.objects.create(
        group="content-consumer-group", event_id=str(uuid7()), topic="payment.tip.sent", partition=0, offset=number
    )
    parked_event(state=ParkedEvent.State.DEAD)
    journaled_event(key=waiting.key)
    Replay.objects.create(
        room="content", group="content-consumer-group", source="journal", choice={}, actor="somebody", reason="mended"
    )
    ConsumerWorker.objects.create(id=uuid7(), group="content-consumer-group", host="consumers", pid=number)
    PausedTopic.objects.create(group=f"group-{number}", topic="payment.tip.sent", reason="20 of 20 keys fail")
    BreakerRule.objects.create(group=f"group-{number}")
    OperatorAction.objects.create(action="retry", actor="somebody", target=f"letter {number}", reason="mended")


def parked_event(**fields):
    number = next(numbers)
    values = {
        "group": "content-consumer-group",
        "topic": "payment.tip.sent",
        "key": f"key-{number}",
        "partition": 0,
        "offset": number,
        "event_id": f"event-{number}",
        "payload": b"not <json>",
        "headers": {"correlation_id": "c"},
        "error_class": "eventbus.exceptions.DecodeError",
        "error": "JSON is malformed",
        "traceback": "Traceback: <line>",
        **fields,
    }
    return ParkedEvent.objects.create(**values)


def journaled_event(**fields):
    number = next(numbers)
    values = {
        "time": timezone.now(),
        "topic": "payment.tip.sent",
        "partition": 0,
        "offset": number,
        "key": f"key-{number}",
        "event_id": f"event-{number}",
        "correlation_id": f"story-{number}",
        "payload": b"not <json>",
        "headers": {"ce_actor": "<somebody>"},
        **fields,
    }
    return JournalEvent.objects.create(**values)


def make_media():
    asset = media.processed(owner_id=uuid7())
    deliver(media.post_created(uuid7(), [asset]), to="media")
    verify_all()


def make_payments():
    fan, creator = make_user(), make_creator()
    method, offer = payments.make_method(fan.pk), payments.make_offer(creator.pk)
    tip = payments.make_tip(fan, creator, payments.make_method(fan.pk, token="tok_dispute"))
    purchase = payments.make_purchase(fan, offer, method)
    for sale in (tip, purchase):
        charge(order_id=sale.order_id)
    refund = refund_payment(
        order_id=purchase.order_id,
        amount=None,
        reason=Refund.Reason.DUPLICATE,
        revoke_access=True,
        source=Refund.Source.STAFF,
    )
    send_refund(refund_id=refund.pk)
    contested = SandboxGateway().retrieve_dispute(SandboxDispute.objects.latest("created_at").pk)
    follow_dispute(order_id=tip.order_id, facts=contested)
    GatewayEvent.objects.create(
        gateway="sandbox", external_id=f"evt_{next(numbers)}", type="payment.captured", payload={}, livemode=False
    )
    deliver(payments.SubscriptionStory(fan.pk, creator.pk, method.pk).created(), to="payments")


def make_subscriptions():
    active_subscription()
    subscriptions.choose(subscriptions.make_tier(subscriptions.make_creator(), trial_days=7), subscriptions.make_user())
    subscriptions.forget_events()


def active_subscription() -> Subscription:
    tier = subscriptions.make_tier(subscriptions.make_creator())
    active = subscriptions.make_active(tier, subscriptions.make_user(), paid_at=timezone.now())
    subscriptions.forget_events()
    return active


def make_token_blacklist():
    make_accounts()
    assert OutstandingToken.objects.exists()


# One call of each makes at least one row of every model of that app.
MAKERS = {
    "accounts": make_accounts,
    "admin": make_admin,
    "api": make_api,
    "auth": make_auth,
    "content": make_content,
    "eventbus": make_eventbus,
    "media": make_media,
    "payments": make_payments,
    "subscriptions": make_subscriptions,
    "token_blacklist": make_token_blacklist,
}
