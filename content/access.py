"""Who may read a post: the rule in Python. `Post.objects.visible_to` says the same in SQL."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from content.models.posts import Post
    from content.models.projections import Entitlement


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks; nobody in particular when `user_id` is None."""

    user_id: UUID | None = None
    is_moderator: bool = False

    @property
    def known_id(self) -> UUID:
        """Who it is, where only somebody can come."""
        if self.user_id is None:
            raise ValueError("the viewer is nobody in particular")
        return self.user_id


ANONYMOUS = Viewer()


def can_view(
    viewer: Viewer,
    post: "Post",
    now: datetime,
    *,
    entitlements: Iterable["Entitlement"],
    blocked: Collection[UUID],
) -> bool:
    """Whether the viewer may read all of the post now.

    `entitlements` holds at least the viewer's own for this post, `blocked` its creator if either blocks the other.
    """
    if viewer.user_id == post.creator_id and post.moderation != post.Moderation.HIDDEN:
        return post.status != post.Status.DELETED
    if post.status not in post.OUT:
        return False
    if viewer.is_moderator and post.moderation != post.Moderation.CLEAR:
        return True
    if post.moderation == post.Moderation.HIDDEN or (post.creator_id in blocked and not viewer.is_moderator):
        return False
    live = [held for held in entitlements if held.user_id == viewer.user_id and held.is_live(now)]
    if any(held.opens_singly(post) for held in live):
        return True
    return _is_open_to_subscribers(post, [held for held in live if held.subscribes_to(post.creator_id)])


def _is_open_to_subscribers(post: "Post", subscriptions: list["Entitlement"]) -> bool:
    if post.status == post.Status.WITHDRAWN:
        return post.visibility == post.Visibility.PPV and any(
            held.tier_id in post.allowed_tier_ids and held.began_by(post.withdrawn_at) for held in subscriptions
        )
    if post.visibility == post.Visibility.PUBLIC:
        return True
    if post.visibility == post.Visibility.SUBSCRIBERS:
        return bool(subscriptions)
    return any(held.tier_id in post.allowed_tier_ids for held in subscriptions)
