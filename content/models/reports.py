"""What readers report, what was decided about it, and the posts that moderators have to look at."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q, TextChoices
from uuid_utils.compat import uuid7

from content.models.posts import Post
from content.models.reactions import Comment


class PostReportQuerySet(models.QuerySet["PostReport"]):
    """Questions about reports."""

    def open(self) -> Self:
        """Those that no moderator has decided about."""
        return self.filter(settled_at=None)

    def counting(self) -> Self:
        """Those that help to flag a post."""
        return self.open().filter(counts=True)


class PostReport(models.Model):
    """A reader's report of a post: one for ever, so that nobody reports a post twice.

    `counts` says whether the reader's account was old enough to help flag the post; moderators see every report.
    """

    class Reason(TextChoices):
        SPAM = "spam", "spam or fraud"
        HARASSMENT = "harassment", "harassment or hate"
        VIOLENCE = "violence", "violence"
        SEXUAL = "sexual", "sexual content"
        MINORS = "minors", "danger to minors"
        COPYRIGHT = "copyright", "copyright"
        OTHER = "other", "something else"

    class Decision(TextChoices):
        CLEAR = "clear", "cleared"
        HIDDEN = "hidden", "hidden"
        DELETED = "deleted", "deleted"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    post = models.ForeignKey(Post, on_delete=models.CASCADE, related_name="reports")
    reporter_id = models.UUIDField(db_index=True)
    reason = models.CharField(max_length=20, choices=Reason.choices)
    comment = models.TextField(max_length=1000, blank=True, default="")
    counts = models.BooleanField()
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)
    decision = models.CharField(max_length=10, choices=Decision.choices, null=True)

    objects = PostReportQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["post", "reporter_id"], name="a_reader_reports_a_post_once"),
            models.CheckConstraint(
                condition=Q(reason__in=("spam", "harassment", "violence", "sexual", "minors", "copyright", "other")),
                name="report_reason_is_known",
            ),
            models.CheckConstraint(
                condition=Q(settled_at=None, decision=None)
                | Q(settled_at__isnull=False, decision__isnull=False, decision__in=("clear", "hidden", "deleted")),
                name="a_settled_report_has_its_decision",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["post", "created_at"], condition=Q(settled_at=None), name="open_reports"),
        ]

    def __str__(self) -> str:
        return f"{self.get_reason_display()}: {self.post_id}"


class ModerationEntry(models.Model):
    """A decision about a post or a comment under it, written once; without an actor the readers' reports decided."""

    class Action(TextChoices):
        FLAG = "flag", "flagged"
        HIDE = "hide", "hidden"
        CLEAR = "clear", "cleared"
        TAKE_DOWN = "take_down", "taken down"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    post = models.ForeignKey(Post, on_delete=models.CASCADE, related_name="moderation_entries")
    comment = models.ForeignKey(Comment, on_delete=models.CASCADE, null=True, related_name="moderation_entries")
    action = models.CharField(max_length=10, choices=Action.choices)
    actor_id = models.UUIDField(null=True)
    reason = models.CharField(max_length=400, blank=True, default="")
    created_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "moderation entries"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(action__in=("flag", "hide", "clear", "take_down")), name="moderation_action_is_known"
            ),
            models.CheckConstraint(
                condition=Q(actor_id__isnull=False) | ~Q(action="take_down"), name="nobody_unknown_takes_a_post_down"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["post", "-created_at", "-id"], name="moderation_of_a_post"),
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()}: {self.comment_id or self.post_id}"


class ReportedPost(Post):
    """A post in the moderators' queue."""

    class Meta:
        proxy = True
        verbose_name = "reported post"
