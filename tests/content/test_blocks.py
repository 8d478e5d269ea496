"""To who blocks whom, and to whom they block, the other's posts and words are not there."""

import pytest
from django.utils import timezone

from accounts.models import Block
from accounts.services import block_user, unblock_user
from content.access import Viewer
from content.models.posts import Post
from content.models.projections import LikeSignal
from content.services.comments import add_comment
from content.services.trending import note_likes, rescore_stale
from tests.content import factories
from tests.content.conftest import client_of, person

LISTS = ("posts", "posts?creator={}", "posts/trending", "posts/search?q=canary", "feed")
BOTH_WAYS = pytest.mark.parametrize("by_creator", [True, False], ids=["the creator blocks", "the reader blocks"])


@pytest.fixture
def author():
    return person()


@pytest.fixture
def fan():
    return person()


def block(one, other):
    block_user(blocker_id=one.pk, blocked_id=other.pk)


def rows(client, address):
    answer = client.get(f"/api/v1/{address}")
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


@pytest.fixture
def bought(author, fan):
    """A public post that trends and one that the fan bought, of a creator whom the fan subscribes to."""
    image = factories.media(author.pk)
    public = factories.published_post(author.pk, visibility="public", title="canary", media_ids=[image.pk])
    sold = factories.published_post(author.pk, visibility="ppv", price=factories.PRICE, title="canary too")
    factories.subscription(fan.pk, author.pk)
    factories.purchase(fan.pk, sold)
    like = LikeSignal(post_id=public.pk, user_id=fan.pk, revision=1, active=True)
    note_likes(signals=[like])
    rescore_stale()
    return [public, sold]


@BOTH_WAYS
def test_no_list_shows_the_other_and_no_post_is_there(author, fan, bought, by_creator):
    client, other = client_of(fan), client_of(person())
    before = {address: rows(client, address.format(author.pk)) for address in LISTS}
    file = f"media/{bought[0].media_ids[0]}/url?variant=web_1280"
    assert client.get(f"/api/v1/posts/{bought[0].pk}/{file}").status_code == 200
    words = add_comment(post_id=bought[0].pk, viewer=Viewer(user_id=fan.pk), body="Before")

    block(author, fan) if by_creator else block(fan, author)

    assert all(before.values())
    for address in LISTS:
        assert rows(client, address.format(author.pk)) == []
    missing = client.get("/api/v1/posts/00000000-0000-7000-8000-000000000000")
    for post in bought:
        answers = [
            client.get(f"/api/v1/posts/{post.pk}"),
            client.get(f"/api/v1/posts/{post.pk}/comments"),
            client.post(f"/api/v1/posts/{post.pk}/comments", {"body": "Hello"}, format="json"),
            client.get(f"/api/v1/posts/{post.pk}/{file}"),
            client.put(f"/api/v1/posts/{post.pk}/like"),
            client.delete(f"/api/v1/posts/{post.pk}/like"),
            client.patch(f"/api/v1/comments/{words.pk}", {"body": "After"}, format="json"),
            client.post(f"/api/v1/posts/{post.pk}/reports", {"reason": "spam"}, format="json"),
        ]
        assert [answer.status_code for answer in answers] == [404] * 8
        assert answers[0].json()["code"] == missing.json()["code"]
    assert len(rows(other, f"posts?creator={author.pk}")) == 2


@BOTH_WAYS
def test_what_was_paid_opens_again_when_the_block_is_taken_back(author, fan, bought, by_creator):
    client = client_of(fan)
    one, other = (author, fan) if by_creator else (fan, author)
    block(one, other)

    unblock_user(blocker_id=one.pk, blocked_id=other.pk)

    answer = client.get(f"/api/v1/posts/{bought[1].pk}").json()
    assert (answer["is_locked"], answer["title"]) == (False, "canary too")


def test_creators_have_their_own_posts_whoever_blocks_them(author, fan, bought):
    block(fan, author)

    assert len(rows(client_of(author), f"posts?creator={author.pk}")) == 2
    assert client_of(author).get(f"/api/v1/posts/{bought[0].pk}").status_code == 200


def test_a_block_hides_nothing_from_moderators(author, fan, bought):
    moderator = Viewer(user_id=fan.pk, is_moderator=True)
    block(author, fan)

    listed = Post.objects.listed_for(moderator)
    assert {post.pk for post in listed} == {post.pk for post in bought}
    assert {post.pk for post in Post.objects.visible_to(moderator, timezone.now())} == {post.pk for post in bought}


def test_words_of_the_other_are_left_out_but_for_those_who_answer_for_the_place(author, fan, bought):
    public, third = bought[0], person()
    comment = add_comment(post_id=public.pk, viewer=Viewer(user_id=fan.pk), body="First")
    answer = add_comment(post_id=public.pk, viewer=Viewer(user_id=third.pk), body="Second", parent_id=comment.pk)
    address = f"posts/{public.pk}/comments"
    block(third, fan)

    assert rows(client_of(third), address) == []
    assert client_of(third).get(f"/api/v1/{address}/{comment.pk}/replies").status_code == 404
    refused = client_of(third).post(
        f"/api/v1/{address}", {"body": "Third", "parent_id": str(comment.pk)}, format="json"
    )
    assert refused.json()["code"] == "reply_depth"
    assert rows(client_of(fan), f"{address}/{comment.pk}/replies") == []
    assert rows(client_of(person()), address) == [str(comment.pk)]
    assert rows(client_of(author), f"{address}/{comment.pk}/replies") == [str(answer.pk)]


def test_creators_see_what_somebody_they_block_wrote_under_their_posts(author, fan, bought):
    comment = add_comment(post_id=bought[0].pk, viewer=Viewer(user_id=fan.pk), body="First")
    block(author, fan)

    assert rows(client_of(author), f"posts/{bought[0].pk}/comments") == [str(comment.pk)]
    assert client_of(author).delete(f"/api/v1/comments/{comment.pk}").status_code == 204
    assert Block.objects.count() == 1
