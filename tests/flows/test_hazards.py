"""Events that come late, early, twice or in the wrong order: each hazard by its number, met on purpose."""

import dataclasses
from itertools import permutations
from unittest.mock import patch
from uuid import uuid4

import pytest
from msgspec.structs import replace

from content.events import CommentCreated, PostCreated, PostDeleted, PostLiked, PostUnliked
from content.models.posts import Post
from content.models.projections import Entitlement, LikeSignal, MediaRef
from content.tasks import rescore_trending
from eventbus.models import InboxEvent, ParkedEvent
from eventbus.processing import Processor
from eventbus.testing import HandlingFailedError, message_of, published
from media.events import MediaDeleted, MediaProcessed, MediaUploaded
from media.models.assets import MediaAsset
from media.models.references import MediaReference
from media.services.processing import attempt, claim_attempt, record_outcome
from media.services.removal import remove_by_policy
from payments import tasks as payment_tasks
from payments.events import PaymentCompleted, PaymentFailed, PaymentRefunded, PostPurchased
from payments.gateways.sandbox import SandboxGateway
from payments.models.orders import PaymentAttempt, PaymentOrder
from payments.models.projections import SubscriptionRef
from payments.models.refunds import Refund
from payments.models.sandbox import SandboxCharge
from payments.services.orders import expire_order
from subscriptions import tasks as subscription_tasks
from subscriptions.events import SubscriptionCancelled, SubscriptionCreated, SubscriptionUpdated
from subscriptions.models.subscriptions import Subscription
from tests.flows.world import kept_by, pick, retold
from tests.subscriptions.factories import failed


@pytest.fixture
def post(world):
    made = world.write(visibility="subscribers")
    world.settle()
    return made


@pytest.fixture
def asked(world):
    """A paid subscription that was asked for and not told to anybody yet: its event."""
    tier, card = world.tier(), world.card()
    world.settle()
    world.subscribe(tier, card)
    return pick(world.take(), SubscriptionCreated)


@pytest.fixture
def bought(world):
    """A post just bought, the news not told to anybody yet: post, purchase and the event."""
    post = world.sell(700)
    purchase = world.buy(post, world.card())
    return post, purchase, pick(world.take(), PostPurchased)


def status_of(event):
    return Subscription.objects.get(pk=event.subscription_id).status


def test_h01_the_payment_is_known_before_the_subscription_is(world, post, asked):
    world.deliver(asked, to="payments")
    world.deliver(pick(world.take(), PaymentCompleted), to="subscriptions")
    activated = pick(world.take(), SubscriptionUpdated)

    world.deliver(activated, to="content")
    assert world.opens(post)
    world.deliver(asked, to="content")

    assert world.opens(post)
    assert status_of(asked) == "active"


@pytest.mark.parametrize("cancelled_first", [True, False])
def test_h02_money_that_comes_after_the_end_revives_nothing_and_goes_back(world, post, cancelled_first):
    _, waiting = world.subscribed(token="tok_3ds")
    payment = world.payment(waiting)
    world.cancel(waiting)
    cancelled = pick(world.take(), SubscriptionCancelled)
    world.confirm(payment)

    captured = world.take()
    news = [cancelled, *captured] if cancelled_first else [*captured, cancelled]
    world.deliver(*news)
    world.settle()

    assert world.subscription(waiting)["status"] == "cancelled"
    assert not world.opens(post)
    assert world.payment(waiting)["status"] == "refunded"
    assert kept_by(payment["id"]) == 0
    assert Refund.objects.count() == 1


def test_h02_money_captured_while_its_subscription_ended_goes_back_in_the_same_breath(world):
    _, waiting = world.subscribed(token="tok_timeout_then_ok")
    world.cancel(waiting)
    world.settle()

    world.reconcile()

    assert [type(event) for event in published()] == [PaymentCompleted, PaymentRefunded]
    world.settle()
    assert world.subscription(waiting)["status"] == "cancelled"
    assert world.payment(waiting)["status"] == "refunded"
    assert Refund.objects.get().amount == 1200


@pytest.mark.parametrize("same_ids", [True, False])
def test_h03_h16_everything_told_again_changes_nothing(world, post, same_ids):
    world.subscribed()
    sold = world.sell(700)
    world.buy(sold, world.card())
    world.tip(world.card(), post_id=sold["id"])
    refunded = world.sell(300, title="Another")
    world.settle()
    purchase = world.buy(refunded, world.card())
    world.settle()
    world.refund(world.payment(purchase))
    world.like(sold)
    world.settle()
    before = everything()
    if same_ids:
        InboxEvent.objects.all().delete()  # a consumer group that starts again at the first message

    world.deliver(*(event if same_ids else retold(event) for event in list(world.told)))

    assert everything() == before
    assert published() == []
    assert (world.opens(post), world.opens(sold), world.opens(refunded)) == (True, True, False)


def everything():
    """Every row that a repeated event could double or change."""
    models = [Subscription, PaymentOrder, PaymentAttempt, Refund, SandboxCharge, Entitlement, Post, MediaReference]
    return [(model.__name__, list(model.objects.order_by("pk").values())) for model in (*models, SubscriptionRef)]


def test_h04_a_second_capture_of_a_cycle_goes_back(world):
    tier, waiting = world.subscribed(token="tok_3ds")
    late = PaymentOrder.objects.get()
    world.wait(minutes=31)
    expire_order(order_id=late.id)  # the call to the gateway that follows is lost
    SandboxGateway().confirm(f"{late.id}:1")  # and the payer confirms there
    world.settle()
    again = world.subscribe(tier, world.card())
    world.settle()

    world.run(payment_tasks.void_due)
    world.settle()

    late.refresh_from_db()
    assert (late.status, late.captured_late) == ("refunded", True)
    assert (kept_by(late.id), kept_by(world.payment(again)["id"])) == (0, 1200)
    assert world.subscription(waiting)["status"] == "expired"
    assert world.subscription(again)["status"] == "active"


def test_h04_an_answer_lost_and_asked_for_twice_is_one_capture(world):
    _, waiting = world.subscribed(token="tok_timeout_then_ok")

    for _ in range(2):
        world.reconcile()
    world.settle()

    assert SandboxCharge.objects.count() == 1
    assert PaymentAttempt.objects.count() == 1
    assert world.subscription(waiting)["status"] == "active"


@pytest.mark.parametrize(
    ("token", "ending", "expected"),
    [
        ("tok_3ds", "delete", ("void", "cancelled", 0)),
        ("tok_3ds", "withdraw", ("void", "cancelled", 0)),
        ("tok_timeout_then_ok", "delete", ("refunded", "refunded", 0)),
        ("tok_timeout_then_ok", "withdraw", ("completed", "succeeded", 700)),
    ],
)
def test_h05_a_post_that_goes_before_its_purchase_completes(world, token, ending, expected):
    post = world.sell(700)
    purchase = world.buy(post, world.card(token=token))
    if ending == "delete":
        world.delete(post)
    else:
        world.post(world.creator, f"posts/{post['id']}/withdraw", expect=200)
    world.settle()
    world.reconcile()
    world.settle()

    payment = world.payment(purchase)
    assert (world.purchase(purchase)["status"], payment["status"], kept_by(payment["id"])) == expected


def test_h06_a_price_that_changed_between_looking_and_paying_is_refused(world):
    seen = world.sell(700)
    price = {"price": {"amount": 900, "currency": "USD"}}
    changed = world.call(
        "patch", world.creator, f"posts/{seen['id']}", price, expect=200, **{"If-Match": f'"{seen["version"]}"'}
    )
    world.settle()

    assert world.buy(seen, world.card(), expect=409)["code"] == "price_changed"

    assert PaymentOrder.objects.count() == 0
    purchase = world.buy(changed, world.card())
    world.settle()
    assert (purchase["price_version"], world.payment(purchase)["amount"]["amount"]) == (2, 900)


@pytest.mark.parametrize("twice", [False, True])
def test_h07_a_refund_before_its_purchase_closes_the_post_for_good(world, bought, twice):
    post, purchase, purchased = bought
    world.refund(world.payment(purchase))
    refunded = pick(world.take(), PaymentRefunded)

    world.deliver(refunded, purchased, to="content")
    if twice:
        world.deliver(retold(purchased), retold(refunded), retold(purchased), to="content")

    assert not world.opens(post)
    held = Entitlement.objects.get()
    assert (held.source_id, held.valid_from) == (purchased.purchase_id, purchased.purchased_at)
    assert held.revoked_at == refunded.refunded_at


def test_h08_a_tier_archived_during_checkout_still_sells_what_was_begun(world):
    tier, waiting = world.subscribed(token="tok_3ds")
    yearly = {"interval": "year", "amount": 9900, "currency": "USD"}
    world.post(world.creator, f"tiers/{tier['id']}/prices", yearly)
    world.post(world.creator, f"tiers/{tier['id']}/archive", expect=200)
    world.settle()

    world.confirm(world.payment(waiting))
    world.settle()

    assert world.subscription(waiting)["status"] == "active"
    assert world.payment(waiting)["amount"]["amount"] == 1200


def test_h09_a_file_is_ready_before_content_has_heard_of_it(world):
    file = world.upload()
    uploaded = pick(world.take(), MediaUploaded)
    world.deliver(uploaded, to="media")
    processed = pick(world.take(), MediaProcessed)

    world.deliver(processed, uploaded, to="content")

    assert MediaRef.objects.get().status == "ready"
    assert world.write(visibility="public", media_ids=[file])["status"] == "published"


def test_h10_a_file_removed_by_policy_while_its_draft_is_published(world):
    file = world.upload()
    world.settle()
    draft = world.write(visibility="public", body="", media_ids=[file], publish=False)
    world.settle()
    assert world.call("delete", world.creator, f"media/{file}", expect=409)["code"] == "media_in_use"

    remove_by_policy(media_id=file)
    world.post(world.creator, f"posts/{draft['id']}/publish", expect=200)
    world.settle()

    own = world.read(draft, world.creator)
    assert (own["status"], own["hold_reason"], own["media"]) == ("draft", "media_deleted", [])
    world.read(draft, expect=404)
    assert MediaReference.objects.count() == 0


def test_h11_a_file_deleted_while_it_is_processed_leaves_nothing_behind(world, media_files):
    file = world.upload()
    with patch("media.handlers.enqueue_processing"):
        world.settle()
    asset = claim_attempt(media_id=file)
    outcome = attempt(asset)
    remove_by_policy(media_id=file)

    with world.background():
        record_outcome(media_id=file, attempt_number=1, outcome=outcome, processing_ms=1)
    world.settle()

    assert [event for event in world.told if type(event) is MediaProcessed] == []
    assert MediaRef.objects.get().status == "deleted"
    assert media_files() == []


def test_h12_likes_count_by_revision_in_any_order(world, post):
    liker = world.creator
    world.like(post, liker)
    world.unlike(post, liker)
    world.like(post, liker)
    told = world.take()
    assert [type(event) for event in told] == [PostLiked, PostUnliked, PostLiked]

    for order_of in permutations(told):
        LikeSignal.objects.all().delete()
        world.deliver(*(retold(event) for event in order_of), to="content")
        assert list(LikeSignal.objects.values_list("revision", "active")) == [(3, True)]


def test_h13_a_comment_after_its_posts_end_is_nothing_to_anybody(world):
    post = world.write(visibility="public")
    world.settle()
    world.post(world.fan, f"posts/{post['id']}/comments", {"body": "Lovely"})
    commented = pick(world.take(), CommentCreated)
    world.delete(post)
    world.settle()

    world.deliver(commented)
    rescore_trending()

    assert published() == []
    assert world.get(world.fan, "posts/trending")["results"] == []


def test_h14_a_message_that_cannot_be_read_stops_nobody(world, asked, caplog):
    broken = dataclasses.replace(message_of(asked), value=b"{")
    other = replace(asked, id="another", subscription_id=uuid4())

    Processor("content").process([broken, message_of(other)])

    assert list(ParkedEvent.objects.values_list("state", flat=True)) == ["dead"]
    assert Entitlement.objects.get().source_id == other.subscription_id
    assert [record.levelname for record in caplog.records if "dead letter" in record.getMessage()] == ["ERROR"]
    ParkedEvent.objects.all().delete()
    caplog.clear()


@pytest.mark.parametrize("hours", [-2, 0, 2])
def test_h15_clocks_that_differ_lose_nobodys_money(world, bought, hours):
    post, purchase, purchased = bought
    world.delete(post)
    deleted = pick(world.take(), PostDeleted)
    skewed = replace(deleted, deleted_at=deleted.deleted_at.replace(hour=deleted.deleted_at.hour + hours))

    world.deliver(skewed, purchased)
    world.settle()

    assert world.payment(purchase)["status"] == "refunded"
    assert Entitlement.objects.get().revoked_at is not None


def test_h17_a_subscription_told_twice_is_charged_once(world, asked):
    with world.background():  # both are handled before the first charge begins
        Processor("payments").process([message_of(asked), message_of(retold(asked))])
        Processor("payments").process([message_of(retold(asked))])
    world.settle()

    assert PaymentOrder.objects.count() == SandboxCharge.objects.count() == 1


def test_h19_a_failure_told_after_the_success_is_ignored(world):
    _, active = world.subscribed()
    subscription = Subscription.objects.get()

    world.deliver(failed(subscription, cycle_number=1, final=True), failed(subscription, cycle_number=1, final=False))

    assert world.subscription(active) == active
    assert published() == []


@pytest.mark.parametrize("who", ["fan", "creator"])
def test_h21_nobody_is_charged_for_a_closed_account(world, asked, who):
    user = getattr(world, who)
    user.is_active = False
    user.save(update_fields=["is_active"])

    world.deliver(asked)
    world.settle()

    assert status_of(asked) == "expired"
    assert [order.status for order in PaymentOrder.objects.all()] == ["cancelled"]
    assert SandboxCharge.objects.count() == 0


def test_h22_a_handler_that_dies_half_way_leaves_nothing_and_is_repeated(world, asked):
    with (
        patch("payments.services.billing.soon", side_effect=RuntimeError("killed")),
        pytest.raises(HandlingFailedError),
    ):
        world.deliver(asked, to="payments")
    assert (PaymentOrder.objects.count(), SubscriptionRef.objects.count()) == (0, 0)

    ParkedEvent.objects.update(next_attempt_at="2020-01-01T00:00:00Z")
    with world.background():
        assert Processor("payments").retry_due() == 1
    world.settle()

    assert status_of(asked) == "active"
    assert SandboxCharge.objects.count() == 1


def test_h23_a_later_snapshot_published_first_wins(world, post):
    _, active = world.subscribed()
    world.cancel(active, world.creator, mode="immediate")
    world.settle()
    story = [event for event in world.told if getattr(event, "subscription_id", None)]
    assert [event.sequence for event in story] == [1, 2, 3]

    for order_of in permutations(story):
        Entitlement.objects.all().delete()
        world.deliver(*(retold(event) for event in order_of), to="content")
        assert not world.opens(post), [event.sequence for event in order_of]
        assert Entitlement.objects.get().source_sequence == 3


@pytest.mark.parametrize(("revoke_access", "status"), [(True, "cancelled"), (False, "active")])
def test_h25_a_refund_before_its_payment_grants_what_it_leaves(world, post, asked, revoke_access, status):
    world.deliver(asked)
    completed = pick(world.take(), PaymentCompleted)
    world.refund({"id": completed.payment_id}, revoke_access=revoke_access)
    refunded = pick(world.take(), PaymentRefunded)

    world.deliver(refunded, completed, retold(completed), retold(refunded))
    world.settle()

    assert status_of(asked) == status
    assert world.opens(post) is (status == "active")
    assert kept_by(completed.payment_id) == 0
    world.wait(hours=24)
    world.run(subscription_tasks.expire_unpaid_subscriptions)
    world.settle()
    assert status_of(asked) == status


@pytest.mark.parametrize("twice", [False, True])
def test_h26_a_subscription_whose_end_is_heard_first_is_never_charged(world, asked, twice):
    world.cancel({"id": asked.subscription_id})
    cancelled = pick(world.take(), SubscriptionCancelled)

    world.deliver(cancelled, asked)
    if twice:
        world.deliver(retold(asked), retold(cancelled), retold(asked))
    world.settle()

    assert PaymentOrder.objects.count() == SandboxCharge.objects.count() == 0
    assert SubscriptionRef.objects.get().status == "cancelled"
    assert status_of(asked) == "cancelled"


@pytest.mark.parametrize("order_of", list(permutations(range(3))))
def test_h27_a_post_whose_end_is_heard_first_is_neither_sold_nor_needs_its_files(world, order_of):
    file = world.upload()
    world.settle()
    draft = world.write(visibility="ppv", price={"amount": 700, "currency": "USD"}, media_ids=[file], publish=False)
    world.post(world.creator, f"posts/{draft['id']}/publish", expect=200)
    world.delete(draft)
    events = world.take()
    assert [type(event) for event in events][::2] == [PostCreated, PostDeleted]

    world.deliver(*(events[index] for index in order_of))
    world.settle()

    assert world.buy(draft, world.card(), expect=410)["code"] == "post_unavailable"
    assert PaymentOrder.objects.count() == 0
    assert MediaReference.objects.count() == 0
    assert MediaAsset.objects.get(pk=file).orphaned_at is not None
    assert [type(event) for event in world.told if isinstance(event, MediaDeleted | PaymentFailed)] == []
