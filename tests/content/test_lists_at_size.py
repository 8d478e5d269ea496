"""What a page costs does not grow with the posts of others: only what may stand on it is read."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from uuid_utils.compat import uuid7

from content.access import ANONYMOUS, Viewer
from content.models.posts import Post
from content.selectors import NEWEST, feed, found_posts
from tests.content import factories
from tests.content.pages import SIZE, first_page, questions, rows_read

pytestmark = pytest.mark.django_db

POSTS = 20_000
FILL = """
INSERT INTO content_post (id, creator_id, status, moderation, content_type, title, title_is_public, body, teaser,
                          visibility, price_version, published_at, comments_enabled, like_count, comment_count,
                          sequence, version, created_at, updated_at)
SELECT gen_random_uuid(), gen_random_uuid(), 'published', 'clear', 'text', 'word' || n, true,
       'deep' || n || ' common', '',
       CASE WHEN n %% 2 = 0 THEN 'public' ELSE 'subscribers' END,
       0, now() - n * interval '1 second', true, 0, 0, 1, 1, now(), now()
  FROM generate_series(1, %s) AS n
"""
VIEWERS = pytest.mark.parametrize("viewer", [ANONYMOUS, Viewer(user_id=uuid7())], ids=["anybody", "somebody"])


@pytest.fixture
def many_posts():
    with connection.cursor() as cursor:
        cursor.execute(FILL, [POSTS])
        cursor.execute("ANALYZE content_post")
        # So few rows are quickly read one and all; what is asked here is whether the indexes could answer.
        for way in ("seqscan", "hashjoin", "mergejoin"):
            cursor.execute(f"SET LOCAL enable_{way} = off")


@VIEWERS
def test_a_rare_word_costs_the_newest_posts_and_those_that_hold_it(many_posts, viewer):
    finders = found_posts("word7777 or deep8888", viewer, timezone.now())

    assert [post.title for post in first_page(viewer, *finders)] == ["word7777", "word8888"]
    # Of the newest each is read to be asked, in full and as anyone sees it, by its age and by its id.
    assert rows_read("content_post", viewer, *finders) <= 4 * NEWEST + 20


@VIEWERS
def test_a_common_word_costs_the_newest_posts_alone(many_posts, viewer):
    finders = found_posts("common", viewer, timezone.now())

    assert [post.title for post in first_page(viewer, *finders)] == [f"word{n}" for n in range(2, 2 * SIZE, 2)]
    assert len(questions(viewer, *finders)) == 1
    assert rows_read("content_post", viewer, *finders) <= 4 * NEWEST + 3 * SIZE


def test_a_feed_of_quiet_creators_passes_nobody_elses_posts(many_posts, reader, creator_id):
    others = [uuid7() for _ in range(4)]
    long_ago = timezone.now() - timedelta(days=900)
    for creator in (creator_id, *others):
        factories.subscription(reader.user_id, creator)
    for number in range(2 * SIZE):
        post = factories.published_post(creator_id)
        Post.objects.filter(pk=post.pk).update(published_at=long_ago - timedelta(seconds=number))

    found = feed(reader, timezone.now())

    assert len(first_page(reader, found)) == SIZE - 1
    assert rows_read("content_post", reader, found) <= 3 * SIZE
