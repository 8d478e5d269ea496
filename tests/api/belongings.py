"""One thing of each kind, and who has them all."""

from uuid import UUID

from django.utils import timezone

from accounts.models import Role, User
from accounts.services import grant_role
from content.access import Viewer
from content.services.comments import add_comment
from tests.content import factories as content
from tests.media import factories as media
from tests.payments import factories as payments
from tests.subscriptions import factories as subscriptions


def everything() -> tuple[User, dict[str, str]]:
    """A creator of every role who is a fan as well, with one thing of each kind, and its id by its name in paths."""
    other, me = subscriptions.make_creator(), subscriptions.make_creator()
    for role in Role:
        grant_role(user_id=me.pk, role=role)
    tier, mine = subscriptions.make_tier(other), subscriptions.make_tier(me)
    subscription = subscriptions.make_active(tier, me, paid_at=timezone.now())
    file = media.processed(owner_id=me.pk)
    shown = content.media(me.pk, media_id=file.pk, variants=["thumb_320"])
    post = content.published_post(me.pk, visibility="ppv", price=content.PRICE, media_ids=[shown.pk])
    comment = add_comment(post_id=post.pk, viewer=Viewer(user_id=me.pk), body="Hello")
    method = payments.make_method(me.pk)
    offer = payments.make_offer(other.pk)
    tip = payments.make_tip(me, other, method)
    purchase = payments.make_purchase(me, offer, method)
    ids: dict[str, UUID] = {
        "creator_id": other.pk,
        "handle_or_id": other.pk,
        "user_id": other.pk,
        "recipient_id": other.pk,
        "tier_id": mine.pk,
        "price_id": subscriptions.price_of(mine).pk,
        "subscription_id": subscription.pk,
        "media_id": file.pk,
        "post_id": post.pk,
        "comment_id": comment.pk,
        "parent_id": comment.pk,
        "payment_method_id": method.pk,
        "payment-methods": method.pk,
        "payments": tip.order_id,
        "tips": tip.pk,
        "post-purchases": purchase.pk,
    }
    return me, {name: str(value) for name, value in ids.items()}
