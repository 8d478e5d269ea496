"""A history: what two fans and a creator did, by the services, each step followed by its news or not yet."""

from contextlib import suppress

from django.http import Http404
from uuid_utils.compat import uuid7

from api.money import Money
from content.access import Viewer
from content.models.posts import Post
from content.services.comments import add_comment
from content.services.lifecycle import delete_post, publish_post, take_down_post, withdraw_post
from content.services.likes import like_post, unlike_post
from content.services.posts import create_post, update_post
from eventbus.exceptions import DomainError
from media.models.assets import MediaAsset
from media.services.removal import remove_by_policy
from payments.models.orders import PaymentOrder
from payments.models.projections import PostOffer
from payments.services.charging import confirm_payment
from payments.services.orders import cancel_payment
from payments.services.purchases import buy_post
from payments.services.refunds import refund_payment
from payments.services.tips import send_tip
from subscriptions.events import CancelledBy, CancelMode, RefundPolicy
from subscriptions.models.subscriptions import Subscription
from subscriptions.models.tiers import Tier
from subscriptions.services.cancellation import cancel, resume
from subscriptions.services.checkout import subscribe
from subscriptions.services.tiers import archive_tier
from tests.accounts.factories import make_user
from tests.media.factories import upload
from tests.payments.factories import make_method, use_token
from tests.subscriptions.factories import make_tier, monthly

REFUSALS = (DomainError, Http404, PostOffer.DoesNotExist)


class History:
    """What happens on a platform, step by step; a step that the platform refuses is no step."""

    def __init__(self, world):
        self.world = world
        self.creator_id = world.creator.id
        self.fans = [world.fan, make_user()]
        self.methods = {fan.id: make_method(fan.id) for fan in self.fans}
        self.tiers = [make_tier(world.creator, monthly(900)), make_tier(world.creator, monthly(0), name="Free")]
        for thing in (1, 2, 4):
            self.write(self.fans[0], thing)
        self.world.settle()

    def take(self, step, fan, thing):
        """One step of the history: what is done, by which fan, to which of the things there are."""
        with suppress(*REFUSALS), self.world.background():
            getattr(self, step)(self.fans[fan], thing)

    def pay_with(self, fan, thing):
        tokens = ["tok_ok", "tok_ok", "tok_decline_soft", "tok_3ds", "tok_timeout_then_ok"]
        use_token(self.methods[fan.id], tokens[thing % len(tokens)])

    def subscribe(self, fan, thing):
        tier = Tier.objects.get(pk=self.tiers[thing % 2].pk)
        price = tier.prices.get()
        subscribe(
            subscriber_id=fan.id,
            tier_id=tier.id,
            price_id=price.id,
            expected_amount=price.amount,
            expected_currency=price.currency,
            payment_method_id=self.methods[fan.id].id,
        )

    def cancel(self, fan, thing):
        by_creator = thing % 3 == 2
        cancel(
            subscription_id=self.subscription_of(fan),
            cancelled_by=CancelledBy.CREATOR if by_creator else CancelledBy.SUBSCRIBER,
            mode=CancelMode.IMMEDIATE if by_creator else CancelMode.AT_PERIOD_END,
            refund_policy=RefundPolicy.PRORATED if by_creator else RefundPolicy.NONE,
        )

    def resume(self, fan, thing):
        resume(subscription_id=self.subscription_of(fan))

    def archive(self, fan, thing):
        archive_tier(tier_id=self.tiers[thing % 2].pk)

    def write(self, fan, thing):
        audience = [
            {"visibility": "ppv", "price": Money(amount=500 + thing, currency="USD")},
            {"visibility": "ppv", "price": Money(amount=700, currency="USD"), "tier_ids": [self.tiers[0].pk]},
            {"visibility": "public"},
        ][thing % 3]
        media = [upload(owner_id=self.creator_id).pk] if thing % 2 else []
        if media and thing % 4 == 1:
            self.world.settle()
        create_post(
            creator_id=self.creator_id,
            fields={"body": "words", "media_ids": media, **audience},
            status="published" if thing % 5 else "draft",
        )

    def publish(self, fan, thing):
        publish_post(post_id=self.post(thing), creator_id=self.creator_id)

    def reprice(self, fan, thing):
        post = Post.objects.get(pk=self.post(thing, visibility="ppv"))
        price = {"price": Money(amount=600 + thing, currency="USD")}
        update_post(post_id=post.pk, creator_id=self.creator_id, version=post.version, fields=price)

    def withdraw(self, fan, thing):
        withdraw_post(post_id=self.post(thing), creator_id=self.creator_id)

    def delete(self, fan, thing):
        delete_post(post_id=self.post(thing), creator_id=self.creator_id)

    def take_down(self, fan, thing):
        take_down_post(post_id=self.post(thing), reason="policy", actor_id=uuid7())

    def remove_file(self, fan, thing):
        remove_by_policy(media_id=pick(MediaAsset, thing))

    def like(self, fan, thing):
        like_post(post_id=self.post(thing, status="published"), viewer=Viewer(user_id=fan.id))

    def unlike(self, fan, thing):
        unlike_post(post_id=self.post(thing), viewer=Viewer(user_id=fan.id))

    def comment(self, fan, thing):
        add_comment(post_id=self.post(thing, visibility="public"), viewer=Viewer(user_id=fan.id), body="words")

    def buy(self, fan, thing):
        offer = PostOffer.objects.get(pk=pick(PostOffer, thing, amount__gt=0))
        buy_post(
            buyer_id=fan.id,
            post_id=offer.post_id,
            expected_amount=offer.amount or 0,
            expected_currency=offer.currency or "USD",
            payment_method_id=self.methods[fan.id].id,
        )

    def tip(self, fan, thing):
        send_tip(
            sender_id=fan.id,
            recipient_id=self.creator_id,
            amount=300 + thing,
            currency="USD",
            payment_method_id=self.methods[fan.id].id,
            post_id=self.post(thing) if thing % 3 else None,
        )

    def refund(self, fan, thing):
        refund_payment(
            order_id=pick(PaymentOrder, thing, completed_at__isnull=False),
            amount=100 if thing % 2 else None,
            reason="requested_by_customer",
            revoke_access=thing % 3 > 0,
            source="payee",
        )

    def confirm(self, fan, thing):
        confirm_payment(order_id=pick(PaymentOrder, thing, status="requires_action"))

    def call_off(self, fan, thing):
        cancel_payment(order_id=pick(PaymentOrder, thing, status="requires_action"))

    def reconcile(self, fan, thing):
        self.world.reconcile()

    def settle(self, fan, thing):
        self.world.settle()

    def post(self, thing, **which):
        return pick(Post, thing, **which)

    def subscription_of(self, fan):
        found = Subscription.objects.filter(subscriber_id=fan.id).order_by("-created_at").first()
        if found is None:
            raise Http404
        return found.pk


STEPS = sorted({name for name in vars(History) if not name.startswith("_")} - {"take", "post", "subscription_of"})


def pick(model, thing, **which):
    """One of the rows there are, newest first."""
    ids = list(model.objects.filter(**which).order_by("-pk").values_list("pk", flat=True))
    if not ids:
        raise Http404
    return ids[thing % len(ids)]
