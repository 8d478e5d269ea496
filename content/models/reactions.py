"""What readers do with posts."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q, TextChoices
from uuid_utils.compat import uuid7

from accounts import selectors as accounts
from content.access import Viewer
from content.models.posts import Post


class PostLike(models.Model):
    """A reader's opinion of a post; the row stays when it is taken back, so that `revision` orders both facts."""

    post = models.ForeignKey(Post, on_delete=models.CASCADE, related_name="likes")
    user_id = models.UUIDField()
    active = models.BooleanField()
    revision = models.IntegerField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["post", "user_id"], name="one_like_per_reader"),
            models.CheckConstraint(condition=Q(revision__gt=0), name="a_like_has_a_revision"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} on {self.post_id}"


class CommentQuerySet(models.QuerySet["Comment"]):
    """Questions about comments."""

    def published(self) -> Self:
        """What can be read, answered and changed."""
        return self.filter(status=Comment.Status.PUBLISHED)

    def standing(self) -> Self:
        """What has its words still, be it only for moderators."""
        return self.exclude(status=Comment.Status.DELETED)

    def shown_to(self, viewer: Viewer) -> Self:
        """What stands in a list: also a deleted or hidden comment that has answers, without its words.

        Nothing of whom the viewer blocks, or who blocks the viewer, but to those who answer for what stands there:
        moderators, and creators under their own posts.
        """
        shown = self.filter(Q(status=Comment.Status.PUBLISHED) | Q(reply_count__gt=0))
        if viewer.user_id is None or viewer.is_moderator:
            return shown
        unblocked = ~Q(author_id__in=accounts.blocked_with(viewer.user_id))
        return shown.filter(Q(post__creator_id=viewer.user_id) | unblocked)

    def removable_by(self, viewer: Viewer) -> Self:
        """What the viewer may delete: their own, those under their posts, and a moderator anything."""
        if viewer.is_moderator:
            return self
        return self.filter(Q(author_id=viewer.user_id) | Q(post__creator_id=viewer.user_id))


class Comment(models.Model):
    """A reader's words under a post, or an answer to them; the words go when it is deleted, and wait when hidden."""

    class Status(TextChoices):
        PUBLISHED = "published", "published"
        HIDDEN = "hidden", "hidden"
        DELETED = "deleted", "deleted"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    post = models.ForeignKey(Post, on_delete=models.CASCADE, related_name="comments")
    author_id = models.UUIDField(db_index=True)
    parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True, related_name="replies")
    body = models.TextField(max_length=2000, blank=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PUBLISHED)
    reply_count = models.IntegerField(default=0)
    created_at = models.DateTimeField()
    edited_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)

    objects = CommentQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status__in=("published", "hidden", "deleted")), name="comment_status_is_known"
            ),
            models.CheckConstraint(
                condition=Q(status__in=("published", "hidden"), deleted_at=None) & ~Q(body="")
                | Q(status="deleted", deleted_at__isnull=False, body=""),
                name="a_deleted_comment_has_no_words",
            ),
            models.CheckConstraint(condition=Q(reply_count__gte=0), name="reply_count_is_not_negative"),
            models.CheckConstraint(condition=Q(parent=None) | Q(reply_count=0), name="an_answer_has_no_answers"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["post", "parent", "-created_at", "-id"], name="comments_of_a_post"),
        ]

    def __str__(self) -> str:
        return str(self.pk)
