"""Where a post stands: coming, out, off sale, or gone."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.shortcuts import get_object_or_404
from django.utils import timezone

from content.events import DeletedBy, DeletionReason, PostDeleted
from content.exceptions import HasPurchasesError, InvalidTransitionError
from content.models.posts import Post
from content.models.projections import Entitlement
from content.models.reports import ModerationEntry, PostReport
from content.services import composition
from content.services.moderation import record, settle_reports
from content.services.posts import bring_out, media_ids_of, require_ahead, tell
from eventbus.outbox import publish

PUBLISHABLE = (Post.Status.DRAFT, Post.Status.SCHEDULED, Post.Status.WITHDRAWN)
SCHEDULABLE = (Post.Status.DRAFT, *Post.COMING)


@transaction.atomic
def publish_post(*, post_id: UUID, creator_id: UUID) -> Post:
    """Bring a draft or a scheduled post out now, or a withdrawn one back; files still in processing are waited for."""
    known = composition.lock_media(media_ids_of(post_id))
    post = get_object_or_404(Post.objects.of_creator(creator_id).locked(), pk=post_id)
    waits_for_a_time = post.publish_at is not None  # and may stop to, also while it waits for its files
    if post.status not in PUBLISHABLE and not waits_for_a_time:
        raise InvalidTransitionError(f"A post that is {post.get_status_display()} cannot be published")
    previous_status, changed = post.status, {"publish_at"} if waits_for_a_time else set()
    post.publish_at = None
    bring_out(post, composition.require_media(creator_id, post.media_ids, known))
    post.withdrawn_at = None
    return tell(post, changed=changed, previous_status=previous_status)


@transaction.atomic
def schedule_post(*, post_id: UUID, creator_id: UUID, publish_at: datetime) -> Post:
    """Let a draft come out at a time, or change that time; with files still in processing it waits for them first."""
    known = composition.lock_media(media_ids_of(post_id))
    post = get_object_or_404(Post.objects.of_creator(creator_id).locked(), pk=post_id)
    if post.status not in SCHEDULABLE:
        raise InvalidTransitionError(f"A post that is {post.get_status_display()} cannot be scheduled")
    require_ahead(publish_at, timezone.now())
    if post.publish_at == publish_at:
        return post
    previous_status = post.status
    post.publish_at = publish_at
    bring_out(post, composition.require_media(creator_id, post.media_ids, known))
    return tell(post, changed={"publish_at"}, previous_status=previous_status)


@transaction.atomic
def unschedule_post(*, post_id: UUID, creator_id: UUID) -> Post:
    """Make a post that was to come out at a time a draft again; a draft stays as it is."""
    post = get_object_or_404(Post.objects.of_creator(creator_id).locked(), pk=post_id)
    if post.status == Post.Status.DRAFT:
        return post
    if post.publish_at is None:
        raise InvalidTransitionError(f"A post that is {post.get_status_display()} is not scheduled")
    previous_status = post.status
    post.status = Post.Status.DRAFT
    post.publish_at = None
    return tell(post, changed={"publish_at"}, previous_status=previous_status)


@transaction.atomic
def publish_due_post(*, post_id: UUID) -> Post | None:
    """Publish a scheduled post whose time has come; None when it is not so any more, or somebody is at work on it."""
    composition.lock_media(media_ids_of(post_id))
    post = Post.objects.due(timezone.now()).locked_if_free().filter(pk=post_id).first()
    if post is None:
        return None
    bring_out(post, [row.media for row in post.post_media.select_related("media")])
    return tell(post, changed={"publish_at"}, previous_status=Post.Status.SCHEDULED)


@transaction.atomic
def withdraw_post(*, post_id: UUID, creator_id: UUID) -> Post:
    """Take a published post off sale; who bought it goes on reading it."""
    post = get_object_or_404(Post.objects.of_creator(creator_id).locked(), pk=post_id)
    if post.status != Post.Status.PUBLISHED:
        raise InvalidTransitionError(f"A post that is {post.get_status_display()} cannot be withdrawn")
    post.status = Post.Status.WITHDRAWN
    post.withdrawn_at = timezone.now()
    return tell(post, changed=set(), previous_status=Post.Status.PUBLISHED)


@transaction.atomic
def delete_post(*, post_id: UUID, creator_id: UUID) -> Post:
    """Delete a post for its creator, unless it is known to be bought; a purchase not heard of yet is refunded."""
    post = get_object_or_404(Post.objects.of_creator(creator_id).locked(), pk=post_id)
    if Entitlement.objects.purchases_of(post.pk).live(timezone.now()).exists():
        raise HasPurchasesError
    return bury(post, deleted_by=DeletedBy.CREATOR, reason=DeletionReason.OWNER_REQUEST, refund_purchases=True)


@transaction.atomic
def take_down_post(*, post_id: UUID, reason: DeletionReason, actor_id: UUID, note: str = "") -> Post:
    """Delete a post against its creator's will and have its buyers refunded; a deleted one stays as it is."""
    post = Post.objects.locked().get(pk=post_id)
    if post.status == Post.Status.DELETED:
        return post
    record(post, ModerationEntry.Action.TAKE_DOWN, actor_id=actor_id, reason=note)
    return bury(post, deleted_by=DeletedBy.STAFF, reason=reason, refund_purchases=True)


def bury(post: Post, *, deleted_by: DeletedBy, reason: DeletionReason, refund_purchases: bool) -> Post:
    """Make the locked post a tombstone and publish the last event of its life."""
    now = timezone.now()
    post.status = Post.Status.DELETED
    post.publish_at = None
    post.deleted_at = now
    post.advance(now)
    post.save(update_fields=Post.CHANGEABLE)
    settle_reports(post, decision=PostReport.Decision.DELETED)
    publish(PostDeleted.of(post, deleted_by=deleted_by, reason=reason, refund_purchases=refund_purchases))
    return post
