"""Readers talk under a post."""

from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.shortcuts import get_object_or_404
from django.utils import timezone

from content.access import Viewer
from content.events import CommentCreated
from content.exceptions import CommentsClosedError, ReplyDepthError
from content.models.posts import Post
from content.models.reactions import Comment
from content.selectors import comments_of, known_posts, require_access
from content.services.trending import note_comments
from eventbus.outbox import publish


@transaction.atomic
def add_comment(*, post_id: UUID, viewer: Viewer, body: str, parent_id: UUID | None = None) -> Comment:
    """Let a reader with access comment, or answer a top-level comment of the same post."""
    now = timezone.now()
    post = get_object_or_404(known_posts(viewer, now).locked(), pk=post_id)
    require_access(viewer, post, now)
    if not post.comments_enabled or post.status not in Post.OUT:
        raise CommentsClosedError
    parent = parent_of(post, parent_id, viewer)
    comment = Comment.objects.create(post=post, author_id=viewer.known_id, parent=parent, body=body, created_at=now)
    count(comment, post, by=1)
    publish(CommentCreated.of(comment, post))
    return comment


@transaction.atomic
def edit_comment(*, comment_id: UUID, viewer: Viewer, body: str) -> Comment:
    """Let the author change their words while they may read the post."""
    now = timezone.now()
    own = Comment.objects.published().filter(author_id=viewer.known_id, post__in=known_posts(viewer, now))
    comment = get_object_or_404(own.select_for_update(of=("self",)), pk=comment_id)
    require_access(viewer, known_posts(viewer, now).get(pk=comment.post_id), now)
    if comment.body == body:
        return comment
    comment.body = body
    comment.edited_at = now
    comment.save(update_fields=["body", "edited_at"])
    return comment


@transaction.atomic
def delete_comment(*, comment_id: UUID, viewer: Viewer) -> Comment:
    """Take a comment's words away, for its author, the post's creator or a moderator."""
    removable = Comment.objects.standing().removable_by(viewer)
    found = get_object_or_404(removable, pk=comment_id)
    post = Post.objects.locked().get(pk=found.post_id)
    comment = get_object_or_404(removable.select_for_update(of=("self",)), pk=comment_id)
    was_counted = comment.status == Comment.Status.PUBLISHED
    comment.status = Comment.Status.DELETED
    comment.body = ""
    comment.deleted_at = timezone.now()
    comment.save(update_fields=["status", "body", "deleted_at"])
    if was_counted:
        count(comment, post, by=-1)
        note_comments(post_ids=[post.pk])
    return comment


def parent_of(post: Post, parent_id: UUID | None, viewer: Viewer) -> Comment | None:
    """The comment that is answered."""
    if parent_id is None:
        return None
    parent = comments_of(post, viewer).published().filter(pk=parent_id).first()
    if parent is None:
        raise ReplyDepthError
    return parent


def count(comment: Comment, post: Post, *, by: int) -> None:
    """Count a comment on the locked post and on the comment it answers."""
    if comment.parent_id is not None:
        Comment.objects.filter(pk=comment.parent_id).update(reply_count=F("reply_count") + by)
    post.comment_count = F("comment_count") + by
    post.save(update_fields=["comment_count"])
    post.refresh_from_db(fields=["comment_count"])
