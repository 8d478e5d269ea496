"""Which posts readers answer to now.

    score = 1 000 000 * (log10(points) + seconds from 2025-01-01 to publication / 45 000)
    points = likes that stand + 3 * people who commented, the creator's own not counted

So ten times the points weigh as much as being published 12.5 hours later. The present is not in it: a score changes
only when the signals of its post do, and is always computed from all of them, so neither order nor repetition matters.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, OuterRef, Subquery

from content.models.posts import Post
from content.models.projections import LikeSignal, PostTrend
from content.models.reactions import Comment

EPOCH = datetime(2025, 1, 1, tzinfo=UTC)
SECONDS_PER_TENFOLD = 45_000
COMMENTER_POINTS = 3
SCALE = 1_000_000
BATCH = 500


@transaction.atomic
def note_likes(*, signals: Iterable[LikeSignal]) -> None:
    """Keep each reader's newest opinion and leave the scoring to the clock."""
    newest: dict[tuple[UUID, UUID], LikeSignal] = {}
    for signal in signals:
        place = (signal.post_id, signal.user_id)
        if place not in newest or newest[place].revision < signal.revision:
            newest[place] = signal
    LikeSignal.objects.keep_newest(newest.values())
    _mark_stale({post_id for post_id, _ in newest})


@transaction.atomic
def note_comments(*, post_ids: Iterable[UUID]) -> None:
    """Have the posts scored again whose comments changed."""
    _mark_stale(set(post_ids))


def _mark_stale(post_ids: set[UUID]) -> None:
    """Have the posts scored again.

    A row is written also when it is marked already: only its lock makes sure that a scoring that runs now, and does
    not see what the caller has just written, is followed by another.
    """
    PostTrend.objects.bulk_create(
        [PostTrend(post_id=post_id, is_stale=True) for post_id in sorted(post_ids)],
        update_conflicts=True,
        unique_fields=["post"],
        update_fields=["is_stale"],
    )


@transaction.atomic
def rescore_stale() -> int:
    """Score a batch of the posts whose signals changed and say how many it was."""
    stale = PostTrend.objects.filter(is_stale=True).order_by("post_id").select_for_update(skip_locked=True)
    trends = list(stale[:BATCH])
    posts = Post.objects.in_bulk([trend.post_id for trend in trends])
    points = points_of(posts)
    for trend in trends:
        post = posts.get(trend.post_id)
        trend.score = score(points=points[trend.post_id], published_at=post.published_at if post else None)
        trend.is_stale = False
    PostTrend.objects.bulk_update(trends, ["score", "is_stale"])
    return len(trends)


def score(*, points: int, published_at: datetime | None) -> int:
    """How high a post stands; 0, which no list shows, without publication or points."""
    if published_at is None or points == 0:
        return 0
    return round(SCALE * (math.log10(points) + (published_at - EPOCH).total_seconds() / SECONDS_PER_TENFOLD))


def points_of(posts: Mapping[UUID, Post]) -> Counter[UUID]:
    """The points of these posts, in two queries."""
    likes = LikeSignal.objects.filter(post_id__in=posts, active=True)
    by_others = likes.exclude(user_id=Subquery(Post.objects.filter(pk=OuterRef("post_id")).values("creator_id")))
    comments = Comment.objects.published().filter(post__in=posts).exclude(author_id=F("post__creator_id"))
    points = Counter(dict(by_others.values_list("post_id").annotate(Count("user_id"))))
    for post_id, commenters in comments.values_list("post_id").annotate(Count("author_id", distinct=True)):
        points[post_id] += COMMENTER_POINTS * commenters
    return points
