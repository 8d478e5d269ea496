"""Which posts readers answer to now."""

import math
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from uuid_utils.compat import uuid7

from content import selectors
from content.access import ANONYMOUS
from content.events import PostLiked, PostUnliked
from content.models.posts import Post
from content.models.projections import LikeSignal, PostTrend
from content.services.comments import add_comment, delete_comment
from content.services.likes import like_post, unlike_post
from content.services.trending import note_likes, rescore_stale, score
from content.tasks import rescore_trending
from eventbus.processing import Processor
from eventbus.testing import message_of, run_bus
from tests.content import factories

PUBLISHED = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=90_000)


def note_like(**signal):
    note_likes(signals=[LikeSignal(**signal)])


def comment(post, viewer):
    return add_comment(post_id=post.pk, viewer=viewer, body="Well said")


def expected(post: Post, points: int) -> int:
    age = (post.published_at - datetime(2025, 1, 1, tzinfo=UTC)).total_seconds()
    return round(1_000_000 * (math.log10(points) + age / 45_000))


@pytest.mark.parametrize(
    ("points", "published_at", "value"),
    [
        (1, PUBLISHED, 2_000_000),
        (10, PUBLISHED, 3_000_000),
        (1, PUBLISHED + timedelta(hours=12.5), 3_000_000),
        (0, PUBLISHED, 0),
        (100, None, 0),
    ],
)
def test_ten_times_the_points_weigh_as_much_as_half_a_day(points, published_at, value):
    assert score(points=points, published_at=published_at) == value


def test_likes_and_people_who_comment_count_through_the_bus(public_post, reader, stranger):
    like_post(post_id=public_post.pk, viewer=reader)
    like_post(post_id=public_post.pk, viewer=stranger)
    unlike_post(post_id=public_post.pk, viewer=stranger)
    comment(public_post, reader)
    comment(public_post, reader)
    run_bus(rooms=["content"])

    assert rescore_trending() == 1

    trend = PostTrend.objects.get()
    assert (trend.score, trend.is_stale) == (expected(public_post, points=1 + 3), False)


def test_creators_do_not_lift_themselves(public_post, creator):
    like_post(post_id=public_post.pk, viewer=creator)
    comment(public_post, creator)
    run_bus(rooms=["content"])
    rescore_trending()

    assert PostTrend.objects.get().score == 0
    assert list(selectors.trending_posts(ANONYMOUS)) == []


def test_a_deleted_comment_counts_no_more(public_post, reader):
    written = comment(public_post, reader)
    run_bus(rooms=["content"])
    rescore_trending()
    delete_comment(comment_id=written.pk, viewer=reader)

    rescore_trending()

    assert PostTrend.objects.get().score == 0


def test_likes_and_their_taking_back_end_alike_in_every_order(public_post):
    user_id = uuid7()
    turns = [(1, True), (2, False), (3, True), (4, False)]

    for order in permutations(turns):
        LikeSignal.objects.all().delete()
        for revision, active in [*order, *order]:
            note_like(post_id=public_post.pk, user_id=user_id, revision=revision, active=active)

        assert list(LikeSignal.objects.values_list("revision", "active")) == [(4, False)]


@pytest.mark.parametrize("count", [1, 60])
def test_signals_cost_two_statements_however_many_they_are(public_post, count, django_assert_num_queries):
    post_ids = [public_post.pk, uuid7(), uuid7()]
    signals = [LikeSignal(post_id=post_ids[n % 3], user_id=uuid7(), revision=1, active=True) for n in range(count)]

    with django_assert_num_queries(2 + 2):  # and a savepoint's two
        note_likes(signals=signals)

    assert LikeSignal.objects.count() == count


def test_of_a_readers_signals_in_one_list_the_newest_holds(public_post):
    user_id = uuid7()
    turns = [(1, True), (4, False), (3, True), (2, False)]

    note_likes(
        signals=[
            LikeSignal(post_id=public_post.pk, user_id=user_id, revision=revision, active=active)
            for revision, active in turns
        ]
    )

    assert list(LikeSignal.objects.values_list("revision", "active")) == [(4, False)]


def test_a_batch_of_likes_from_the_bus_is_noted_at_once(public_post, settings, django_assert_num_queries):
    settings.EVENTBUS = {**settings.EVENTBUS, "consumer_transaction_seconds": 600.0}
    users = [uuid7() for _ in range(20)]
    described = {"post_id": public_post.pk, "creator_id": public_post.creator_id, "like_count": 1}
    liked = [PostLiked(**described, user_id=user, revision=1, liked_at=PUBLISHED) for user in users]
    unliked = [PostUnliked(**described, user_id=user, revision=2, unliked_at=PUBLISHED) for user in users[:5]]
    batch = [message_of(event) for event in (*liked, *unliked)]

    with django_assert_num_queries(2 + 4 + 2):  # claim and parked keys; the service with its savepoint; begin and end
        Processor("content").process(batch)

    assert LikeSignal.objects.filter(active=True).count() == 15
    assert LikeSignal.objects.filter(active=False).count() == 5


def test_scoring_costs_the_same_for_many_posts_as_for_one(creator_id, reader, django_assert_num_queries):
    for count in (1, 5):
        for _ in range(count):
            post = factories.published_post(creator_id)
            note_like(post_id=post.pk, user_id=reader.user_id, revision=1, active=True)

        with django_assert_num_queries(5 + 2):
            assert rescore_stale() == count


def test_nothing_is_scored_twice_without_a_new_signal(public_post, reader):
    note_like(post_id=public_post.pk, user_id=reader.user_id, revision=1, active=True)

    assert rescore_trending() == 1
    assert rescore_trending() == 0


def test_the_liveliest_come_first_and_only_what_is_published(creator_id):
    quiet, lively, hidden = (factories.published_post(creator_id) for _ in range(3))
    for post, likes in ((quiet, 1), (lively, 20), (hidden, 2)):
        for _ in range(likes):
            note_like(post_id=post.pk, user_id=uuid7(), revision=1, active=True)
    Post.objects.filter(pk=hidden.pk).update(moderation="hidden")
    rescore_trending()

    ranked = selectors.trending_posts(ANONYMOUS).order_by("-trend_score", "-id")

    assert [post.pk for post in ranked] == [lively.pk, quiet.pk]


def test_a_signal_for_a_post_nobody_knows_does_no_harm():
    note_like(post_id=uuid7(), user_id=uuid7(), revision=1, active=True)

    assert rescore_trending() == 1
    assert list(selectors.trending_posts(ANONYMOUS)) == []
