"""Readers report a post; enough of them have it looked at, and a moderator's decision settles what was reported."""

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.shortcuts import get_object_or_404
from django.utils import timezone

from content.access import Viewer
from content.exceptions import OwnPostError
from content.models.posts import Post
from content.models.reports import ModerationEntry, PostReport
from content.selectors import known_posts
from content.services.moderation import record
from content.services.posts import tell


@transaction.atomic
def report_post(
    *, post_id: UUID, viewer: Viewer, member_since: datetime, reason: str, comment: str = ""
) -> tuple[PostReport, bool]:
    """Keep a reader's report of a post they may know of, and whether it is new; a second one changes nothing."""
    now = timezone.now()
    post = get_object_or_404(known_posts(viewer, now).locked(), pk=post_id)
    if post.creator_id == viewer.user_id:
        raise OwnPostError
    counts = member_since <= now - timedelta(days=settings.REPORTER_AGE_DAYS)
    values = {"reason": reason, "comment": comment, "counts": counts, "created_at": now}
    report, is_new = PostReport.objects.get_or_create(post=post, reporter_id=viewer.known_id, defaults=values)
    if is_new and counts:
        flag_when_enough(post)
    return report, is_new


def flag_when_enough(post: Post) -> None:
    """Flag the locked post when enough readers have reported it since a moderator last decided."""
    if post.moderation != Post.Moderation.CLEAR:
        return
    if PostReport.objects.counting().filter(post=post).count() >= settings.REPORTS_TO_FLAG:
        post.moderation = Post.Moderation.FLAGGED
        record(post, ModerationEntry.Action.FLAG, actor_id=None)
        tell(post, changed={"moderation"}, previous_status=post.status)
