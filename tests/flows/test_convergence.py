"""People go on while news is late, mixed up and repeated; when it has all arrived, the rooms agree with each other."""

from random import Random

from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from content.models.posts import Post
from content.models.projections import Entitlement, LikeSignal, MediaRef, PostTip, TierRef
from content.models.reactions import PostLike
from eventbus.conf import bus_settings
from eventbus.events import spec_of
from eventbus.handlers import handlers_of
from eventbus.models import OutboxEvent, ParkedEvent
from eventbus.processing import Processor
from eventbus.testing import message_of, published
from media.models.assets import MediaAsset
from media.models.references import MediaReference
from payments import tasks as payment_tasks
from payments.models.orders import PaymentOrder
from payments.models.projections import PostOffer, SubscriptionRef
from payments.models.sales import PostPurchase, Tip
from subscriptions.models.history import ReceivedPayment
from subscriptions.models.subscriptions import Subscription
from subscriptions.models.tiers import Tier
from tests.flows.history import History
from tests.flows.test_permutations import FULL, steps
from tests.flows.world import assert_the_books_agree, retold


class HostileBus:
    """Each room reads each topic in its order, but as late as it likes, and some messages again."""

    def __init__(self, world, random):
        self.world = world
        self.random = random
        self.queues = {}

    def fetch(self):
        """Take what was told to every room's queue of its topic."""
        for event in published():
            topic = spec_of(type(event)).topic
            for room in bus_settings().rooms:
                if topic in handlers_of(room):
                    self.queues.setdefault((room, topic), []).append(event)
        OutboxEvent.objects.all().delete()

    def carry(self, number):
        """Deliver so many messages from queues drawn at random."""
        for _ in range(number):
            self.fetch()
            waiting = sorted(place for place, events in self.queues.items() if events)
            if not waiting:
                return
            place = self.random.choice(waiting)
            event = self.queues[place].pop(0)
            with self.world.background():
                Processor(place[0]).process([message_of(event)])
            if self.random.random() < 0.15:
                self.queues[place].append(self.random.choice([event, retold(event)]))

    def some(self):
        """What `settle` means here: a few messages, the rest later."""
        self.carry(self.random.randrange(6))

    def empty(self):
        """Deliver everything, and what comes of it."""
        self.fetch()
        while any(self.queues.values()):
            self.carry(50)


@example(taken=FULL, seed=1)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(taken=st.lists(steps, min_size=25, max_size=40), seed=st.integers(0, 2**32))
def test_when_all_news_has_arrived_the_rooms_agree(world, taken, seed):
    with transaction.atomic():
        history = History(world)
        bus = HostileBus(world, Random(seed))
        settle, world.settle = world.settle, bus.some
        for step, fan, thing in taken:
            history.take(step, fan, thing)
            bus.carry(bus.random.randrange(3))
        world.settle = settle
        for _ in range(2):
            bus.empty()
            world.reconcile()
            world.run(payment_tasks.void_due)
            world.run(payment_tasks.refund_due)
        bus.empty()

        assert list(ParkedEvent.objects.values_list("topic", "traceback")) == []
        assert_the_books_agree()
        assert_money_bought_something()
        assert_subscriptions_are_known()
        assert_posts_are_known()
        assert_files_are_known()
        transaction.set_rollback(True)


def assert_money_bought_something():
    """Whatever was captured and not given back paid a period, a tip, or a post that its buyer has."""
    kept = PaymentOrder.objects.filter(status="succeeded")
    granted = ReceivedPayment.objects.filter(outcome="granted").values_list("pk", flat=True)
    assert set(kept.filter(kind="subscription").values_list("pk", flat=True)) <= set(granted)
    assert set(kept.filter(kind="tip").values_list("reference_id", flat=True)) <= ids(Tip, status="completed")
    bought = ids(PostPurchase, status="completed")
    assert set(kept.filter(kind="post_purchase").values_list("reference_id", flat=True)) <= bought
    assert bought == set(live_purchases().values_list("source_id", flat=True))
    gone = Post.objects.filter(status="deleted").values_list("pk", flat=True)
    assert not PaymentOrder.objects.filter(kind="post_purchase", status="succeeded", post_id__in=gone).exists()


def live_purchases():
    return Entitlement.objects.filter(kind="purchase", revoked_at=None, valid_from__isnull=False)


def assert_subscriptions_are_known():
    """Content opens, and payments charges, what subscriptions says."""
    rows = Subscription.objects.order_by("pk")
    held = Entitlement.objects.filter(kind="subscription").order_by("source_id")
    assert list(held.values_list("source_id", "valid_until", "source_sequence")) == list(
        rows.values_list("pk", "access_until", "sequence")
    )
    refs = SubscriptionRef.objects.order_by("pk").values_list("pk", "status", "access_until", "source_sequence")
    assert list(refs) == list(rows.values_list("pk", "status", "access_until", "sequence"))
    tiers = Tier.objects.order_by("pk").values_list("pk", "status", "sequence")
    assert list(TierRef.objects.order_by("pk").values_list("pk", "status", "source_sequence")) == list(tiers)
    over = rows.filter(status__in=Subscription.TERMINAL).values_list("pk", flat=True)
    assert not PaymentOrder.objects.filter(reference_id__in=over, status__in=PaymentOrder.OPEN).exists()


def assert_posts_are_known():
    """Payments sells what content sells; trending counts the likes that stand, and content the tips that were kept."""
    for post in Post.objects.all():
        offer = PostOffer.objects.get(pk=post.pk)
        for_sale = post.status == "published" and post.visibility == "ppv"
        assert (offer.on_sale, offer.source_sequence) == (for_sale, post.sequence)
        assert (offer.deleted_at is not None) == (post.status == "deleted")
        if for_sale:
            assert (offer.amount, offer.price_version) == (post.price_amount, post.price_version)
        else:
            assert not PostPurchase.objects.filter(post_id=post.pk, status="pending").exists()
    likes = PostLike.objects.values_list("post_id", "user_id", "revision", "active")
    assert set(LikeSignal.objects.values_list("post_id", "user_id", "revision", "active")) == set(likes)
    tips = Tip.objects.exclude(post_id=None).filter(order__completed_at__isnull=False)
    told = PostTip.objects.values_list("tip_id", "amount", "refunded_amount")
    assert set(told) == set(tips.values_list("pk", "amount", "order__refunded_amount"))


def assert_files_are_known():
    """Content shows what media has, and media keeps what content's posts need."""
    working = {"uploaded": "processing", "scanning": "processing", "processing": "processing"}
    assets = {asset.pk: (working.get(asset.status, asset.status), asset.sequence) for asset in MediaAsset.objects.all()}
    assert {ref.pk: (ref.status, ref.source_sequence) for ref in MediaRef.objects.all()} == assets
    needed = {(post.pk, media_id) for post in Post.objects.exclude(status="deleted") for media_id in post.media_ids}
    assert set(MediaReference.objects.values_list("post_id", "media_id")) == needed
    for asset in MediaAsset.objects.exclude(status="deleted"):
        assert (asset.orphaned_at is None) == (asset.pk in {media_id for _, media_id in needed})


def ids(model, **which):
    return set(model.objects.filter(**which).values_list("pk", flat=True))
