"""A reader likes a post, or takes it back."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.shortcuts import get_object_or_404
from django.utils import timezone

from content.access import Viewer
from content.events import PostLiked, PostUnliked
from content.exceptions import NotPublishedError
from content.models.posts import Post
from content.models.reactions import PostLike
from content.selectors import known_posts, require_access
from eventbus.outbox import publish


@transaction.atomic
def like_post(*, post_id: UUID, viewer: Viewer) -> Post:
    """Let a reader like a post they may read; a second time changes nothing."""
    now = timezone.now()
    post = get_object_or_404(known_posts(viewer, now).locked(), pk=post_id)
    require_access(viewer, post, now)
    if post.status not in Post.OUT:
        raise NotPublishedError
    like = like_of(post, viewer)
    if like is not None and like.active:
        return post
    like = turn(post, viewer, like=like, active=True, now=now)
    publish(PostLiked.of(like, post))
    return post


@transaction.atomic
def unlike_post(*, post_id: UUID, viewer: Viewer) -> Post:
    """Take a like back, also from a post that has become locked; without a like nothing changes."""
    now = timezone.now()
    post = get_object_or_404(known_posts(viewer, now).locked(), pk=post_id)
    like = like_of(post, viewer)
    if like is None or not like.active:
        return post
    like = turn(post, viewer, like=like, active=False, now=now)
    publish(PostUnliked.of(like, post))
    return post


def like_of(post: Post, viewer: Viewer) -> PostLike | None:
    """The viewer's row for the locked post, if they ever liked it."""
    return PostLike.objects.filter(post=post, user_id=viewer.known_id).first()


def turn(post: Post, viewer: Viewer, *, like: PostLike | None, active: bool, now: datetime) -> PostLike:
    """Write the next revision of the opinion and count it on the locked post."""
    if like is None:
        like = PostLike.objects.create(post=post, user_id=viewer.known_id, active=active, revision=1, updated_at=now)
    else:
        like.active, like.revision, like.updated_at = active, like.revision + 1, now
        like.save(update_fields=["active", "revision", "updated_at"])
    post.like_count = F("like_count") + (1 if active else -1)
    post.save(update_fields=["like_count"])
    post.refresh_from_db(fields=["like_count"])
    return like
