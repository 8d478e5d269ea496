"""Moderators take posts and comments away and bring them back; every decision is kept."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from content.models.posts import Post
from content.models.reactions import Comment
from content.models.reports import ModerationEntry, PostReport
from content.services.comments import count
from content.services.posts import tell
from content.services.trending import note_comments

ENTRIES: dict[str, ModerationEntry.Action] = {
    Post.Moderation.FLAGGED: ModerationEntry.Action.FLAG,
    Post.Moderation.HIDDEN: ModerationEntry.Action.HIDE,
    Post.Moderation.CLEAR: ModerationEntry.Action.CLEAR,
}


def record(
    post: Post,
    action: ModerationEntry.Action,
    *,
    actor_id: UUID | None,
    reason: str = "",
    comment: Comment | None = None,
) -> None:
    """Keep what was decided about the locked post, or about a comment under it, in the decision's transaction."""
    ModerationEntry.objects.create(
        post=post, comment=comment, action=action, actor_id=actor_id, reason=reason, created_at=timezone.now()
    )


@transaction.atomic
def moderate_post(*, post_id: UUID, moderation: str, actor_id: UUID, reason: str = "") -> bool:
    """Set a moderator's word on a post and settle what was reported of it; whether there was anything to decide.

    Status and audience stay the creator's business.
    """
    post = Post.objects.locked().get(pk=post_id)
    settled = settle_reports(post, decision=moderation) if moderation != Post.Moderation.FLAGGED else 0
    is_new = post.status != Post.Status.DELETED and post.moderation != moderation
    if settled or is_new:
        record(post, ENTRIES[moderation], actor_id=actor_id, reason=reason)
    if is_new:
        post.moderation = moderation
        tell(post, changed={"moderation"}, previous_status=post.status)
    return bool(settled) or is_new


def settle_reports(post: Post, *, decision: str) -> int:
    """Let the open reports of the locked post count no more, and say how many they were."""
    return PostReport.objects.open().filter(post=post).update(settled_at=timezone.now(), decision=decision)


@transaction.atomic
def hide_comment(*, comment_id: UUID, actor_id: UUID, reason: str) -> Comment:
    """Take a comment out of the conversation, its words kept; one that is not published stays as it is."""
    post, comment = locked_with_post(comment_id)
    if comment.status != Comment.Status.PUBLISHED:
        return comment
    return turn(post, comment, status=Comment.Status.HIDDEN, by=-1, actor_id=actor_id, reason=reason)


@transaction.atomic
def reinstate_comment(*, comment_id: UUID, actor_id: UUID, reason: str) -> Comment:
    """Bring a hidden comment back as it was; one that is not hidden stays as it is."""
    post, comment = locked_with_post(comment_id)
    if comment.status != Comment.Status.HIDDEN:
        return comment
    return turn(post, comment, status=Comment.Status.PUBLISHED, by=1, actor_id=actor_id, reason=reason)


def locked_with_post(comment_id: UUID) -> tuple[Post, Comment]:
    """The comment and its post, the post locked first as everywhere."""
    post = Post.objects.locked().get(comments=comment_id)
    return post, Comment.objects.select_for_update(of=("self",)).get(pk=comment_id)


def turn(post: Post, comment: Comment, *, status: Comment.Status, by: int, actor_id: UUID, reason: str) -> Comment:
    """Write the locked comment's status, count it, and keep who decided it."""
    comment.status = status
    comment.save(update_fields=["status"])
    count(comment, post, by=by)
    note_comments(post_ids=[post.pk])
    action = ModerationEntry.Action.HIDE if status == Comment.Status.HIDDEN else ModerationEntry.Action.CLEAR
    record(post, action, actor_id=actor_id, reason=reason, comment=comment)
    return comment
