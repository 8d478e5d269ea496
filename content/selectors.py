"""Everything that views and services read; what a viewer may know of is decided here and nowhere else."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.db.models import Count, F, Min, OuterRef, Q, QuerySet, Sum

from accounts import selectors as accounts
from api.money import Money
from api.pagination import Finder, Head, in_groups, in_parts
from content.access import Viewer, can_view
from content.exceptions import LockedError
from content.models.posts import Post, PostQuerySet
from content.models.projections import Entitlement, MediaRef, PostTip
from content.models.reactions import Comment, CommentQuerySet, PostLike
from content.models.reports import PostReport, ReportedPost

DUE = 10_000  # posts of one round
NEWEST = 500  # posts that a search asks one by one
EVERY = 2**31 - 1  # a limit that changes no answer: PostgreSQL then asks the index of words, not each post by its age


def known_posts(viewer: Viewer, now: datetime) -> PostQuerySet:
    """The posts that are there for this viewer, in full or locked."""
    return Post.objects.known_to(viewer, now)


def listed_posts(viewer: Viewer) -> PostQuerySet:
    """What stands in the viewer's lists."""
    return Post.objects.listed_for(viewer).with_parts()


def own_posts(viewer: Viewer) -> PostQuerySet:
    """The viewer's own posts in every state but deleted; nobody has none."""
    if viewer.user_id is None:
        return Post.objects.none()
    return Post.objects.of_creator(viewer.user_id).with_parts()


def due_ids(now: datetime) -> list[UUID]:
    """The scheduled posts whose time has come, the longest overdue first."""
    return list(Post.objects.due(now).order_by("publish_at").values_list("pk", flat=True)[:DUE])


def feed(viewer: Viewer, now: datetime) -> Finder:
    """Finds the published posts of the creators that the viewer subscribes to."""
    subscriptions = Entitlement.objects.live(now).of_reader(viewer).filter(kind=Entitlement.Kind.SUBSCRIPTION)
    return in_groups(subscriptions, Post.objects.listed_for(viewer).filter(creator_id=OuterRef("creator_id")))


def trending_posts(viewer: Viewer) -> PostQuerySet:
    """The published posts that readers answered to, each with its score."""
    return listed_posts(viewer).filter(trend__score__gt=0).annotate(trend_score=F("trend__score"))


def found_posts(words: str, viewer: Viewer, now: datetime) -> list[Finder]:
    """Finds the published posts that hold the words, in what the viewer may read of each.

    What stands in many posts fills the page from the newest; anything else is in few, and the indexes name them.
    """
    out = Post.objects.listed_for(viewer)
    readable, locked = out.visible_to(viewer, now), out.locked_to(viewer, now)

    def among_the_newest(head: Head) -> QuerySet[Post]:
        newest = Q(pk__in=head(out, NEWEST).values("pk"))
        parts = readable.filter(newest).with_words(words), locked.filter(newest).with_public_words(words)
        return cast("QuerySet[Post]", in_parts(*parts)(head))

    def named(posts: PostQuerySet) -> QuerySet[Post, Any]:
        return posts.values("pk")[:EVERY]

    among_all = in_parts(
        readable.filter(pk__in=named(out.with_words(words))),
        locked.filter(pk__in=named(out.with_public_words(words))),
    )
    return [among_the_newest, among_all]


def entitlements_for(viewer: Viewer, posts: Iterable[Post]) -> list[Entitlement]:
    """What the viewer holds that may open these posts."""
    if viewer.user_id is None:
        return []
    posts = list(posts)
    theirs = Q(creator_id__in={post.creator_id for post in posts}, kind=Entitlement.Kind.SUBSCRIPTION)
    these = Q(post_id__in=[post.pk for post in posts], kind=Entitlement.Kind.PURCHASE)
    return list(Entitlement.objects.of_reader(viewer).filter(theirs | these, revoked_at=None))


def readable_ids(viewer: Viewer, posts: Sequence[Post], now: datetime) -> set[UUID]:
    """Which of these posts the viewer may read in full."""
    entitlements, blocked = entitlements_for(viewer, posts), blocked_creators(viewer, posts)
    return {post.pk for post in posts if can_view(viewer, post, now, entitlements=entitlements, blocked=blocked)}


def blocked_creators(viewer: Viewer, posts: Iterable[Post]) -> set[UUID]:
    """Those of these posts' creators whom the viewer blocks, or who block the viewer."""
    if viewer.user_id is None or viewer.is_moderator:
        return set()
    others = {post.creator_id for post in posts} - {viewer.user_id}
    return {creator_id for _, creator_id in accounts.blocked_pairs([(viewer.user_id, other) for other in others])}


def liked_ids(viewer: Viewer, posts: Sequence[Post]) -> set[UUID]:
    """Which of these posts the viewer likes."""
    if viewer.user_id is None:
        return set()
    likes = PostLike.objects.filter(post__in=posts, user_id=viewer.user_id, active=True)
    return set(likes.values_list("post_id", flat=True))


def reported_posts() -> QuerySet[Any]:
    """The posts with open reports: how many, how many that count, and since when."""
    is_open = Q(reports__settled_at=None)
    return ReportedPost.objects.filter(pk__in=PostReport.objects.open().values("post_id")).annotate(
        reporters=Count("reports", filter=is_open),
        counting=Count("reports", filter=is_open & Q(reports__counts=True)),
        reported_at=Min("reports__created_at", filter=is_open),
    )


def require_access(viewer: Viewer, post: Post, now: datetime) -> None:
    """Refuse a viewer who may know of the post but not read it."""
    if post.pk not in readable_ids(viewer, [post], now):
        raise LockedError


def comments_of(post: Post, viewer: Viewer) -> CommentQuerySet:
    """The top-level comments to show under a post."""
    return post.comments.shown_to(viewer).filter(parent=None)


def replies_to(comment: Comment, viewer: Viewer) -> CommentQuerySet:
    """The answers to show under a comment."""
    return comment.replies.shown_to(viewer)


def tip_totals(post_ids: Collection[UUID]) -> dict[UUID, list[Money]]:
    """What each of these posts was tipped and kept, by currency."""
    tips = PostTip.objects.filter(post_id__in=post_ids).values("post_id", "currency").order_by("post_id", "currency")
    totals: dict[UUID, list[Money]] = {}
    for row in tips.annotate(total=Sum(F("amount") - F("refunded_amount"))).filter(total__gt=0):
        totals.setdefault(row["post_id"], []).append(Money(amount=row["total"], currency=row["currency"]))
    return totals


def file_of(post: Post, media_id: UUID) -> QuerySet[MediaRef]:
    """The file, if the post shows it."""
    return MediaRef.objects.filter(pk=media_id, post_media__post=post)


def preview_of(post: Post, media_id: UUID) -> QuerySet[MediaRef]:
    """The file, if the post shows it to everyone; a hidden post shows nothing, not to its creator either."""
    shown = post.post_media.filter(is_preview=True).exclude(post__moderation=Post.Moderation.HIDDEN)
    return MediaRef.objects.filter(pk=media_id, post_media__in=shown)
