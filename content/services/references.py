"""Tiers and files as their own rooms told them, and what that does to the posts that use them."""

from collections.abc import Iterable
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from content.models.posts import Post, PostMedia
from content.models.projections import MediaRef, TierRef
from content.services.composition import type_of
from content.services.posts import bring_out, tell

HOLD_REASONS = {
    MediaRef.Status.REJECTED: Post.HoldReason.MEDIA_REJECTED,
    MediaRef.Status.FAILED: Post.HoldReason.MEDIA_FAILED,
}


@transaction.atomic
def keep_tier(*, tier_id: UUID, sequence: int, creator_id: UUID, name: str, status: str) -> None:
    """Store a tier's newest snapshot."""
    values = {"creator_id": creator_id, "name": name, "status": status}
    TierRef.objects.keep_newest(key={"tier_id": tier_id}, sequence=sequence, values=values)


@transaction.atomic
def keep_uploaded_media(*, media_id: UUID, sequence: int, owner_id: UUID, kind: str) -> None:
    """Store that a file came, unless more is known of it already."""
    values = {"owner_id": owner_id, "kind": kind, "status": MediaRef.Status.PROCESSING}
    MediaRef.objects.keep_newest(key={"media_id": media_id}, sequence=sequence, values=values)


@transaction.atomic
def keep_processed_media(
    *,
    media_id: UUID,
    sequence: int,
    owner_id: UUID,
    kind: str,
    status: str,
    width: int | None,
    height: int | None,
    duration_ms: int | None,
    variants: Iterable[str],
    placeholder: str | None,
) -> None:
    """Store how a file's processing ended, and publish or hold back the posts that waited for it."""
    values = {
        "owner_id": owner_id,
        "kind": kind,
        "status": status,
        "width": width,
        "height": height,
        "duration_ms": duration_ms,
        "variants": list(variants),
        "placeholder": placeholder,
    }
    if not MediaRef.objects.keep_newest(key={"media_id": media_id}, sequence=sequence, values=values):
        return
    for post in posts_with(media_id).filter(status=Post.Status.AWAITING_MEDIA):
        settle_awaiting(post)


@transaction.atomic
def drop_media(*, media_id: UUID, sequence: int, owner_id: UUID, kind: str) -> None:
    """Store that a file is gone and take it out of every post; a post left with nothing becomes a draft.

    The tombstone keeps no measures, so it is the same whether the file's other events come before it or after.
    """
    values = {
        "owner_id": owner_id,
        "kind": kind,
        "status": MediaRef.Status.DELETED,
        "width": None,
        "height": None,
        "duration_ms": None,
        "variants": [],
        "placeholder": None,
    }
    if not MediaRef.objects.keep_newest(key={"media_id": media_id}, sequence=sequence, values=values):
        return
    for post in posts_with(media_id).exclude(status=Post.Status.DELETED):
        PostMedia.objects.filter(post=post, media=media_id).delete()
        settle_detached(post)


def posts_with(media_id: UUID) -> QuerySet[Post]:
    """The posts that show this file, locked once they are read."""
    holding = PostMedia.objects.filter(media=media_id).values("post_id")
    return Post.objects.filter(pk__in=holding).locked()


def settle_awaiting(post: Post) -> None:
    """Publish or schedule a locked post whose files are all ready; hold back one of whose files nothing will come."""
    media = media_of(post)
    lost = [row for row in media if row.status in HOLD_REASONS]
    if lost:
        hold(post, HOLD_REASONS[MediaRef.Status(lost[0].status)])
    elif all(row.is_ready for row in media):
        bring_out(post, media)
    else:
        return
    tell(post, changed=set(), previous_status=Post.Status.AWAITING_MEDIA)


def settle_detached(post: Post) -> None:
    """Let a locked post go on without the file that was taken out."""
    media = media_of(post)
    previous_status = post.status
    post.content_type = type_of(media)
    if post.is_empty and post.status != Post.Status.DRAFT:
        hold(post, Post.HoldReason.MEDIA_DELETED)
    elif post.status == Post.Status.AWAITING_MEDIA:
        bring_out(post, media)
    tell(post, changed={"media_ids"}, previous_status=previous_status)


def hold(post: Post, reason: Post.HoldReason) -> None:
    """Make the unsaved post a draft again and say why."""
    post.status = Post.Status.DRAFT
    post.publish_at = None
    post.hold_reason = reason


def media_of(post: Post) -> list[MediaRef]:
    """The files of a locked post as they are now, in the order shown."""
    return [row.media for row in post.post_media.select_related("media")]
