"""What moderators hide is gone for readers, a stub for its creator, and whole again when they bring it back."""

import pytest
from django.core.cache import cache
from uuid_utils.compat import uuid7

from content.access import Viewer
from content.models.posts import Post
from content.models.projections import LikeSignal
from content.services.comments import add_comment
from content.services.likes import like_post
from content.services.moderation import moderate_post
from content.services.trending import note_likes, rescore_stale
from tests.content import factories
from tests.content.test_api_posts import LOCKED_FIELDS

CANARIES = {"body": "Canary body", "title": "Canary title", "teaser": "Canary teaser", "title_is_public": False}
LISTS = ("posts", "posts?creator={}", "posts/trending", "posts/search?q=canary", "feed")
STUB_FIELDS = LOCKED_FIELDS | {"status", "moderation", "version", "created_at", "updated_at"}


@pytest.fixture(autouse=True)
def _fresh_counters():
    cache.clear()


@pytest.fixture
def file(maker):
    return factories.media(maker.pk)


@pytest.fixture
def post(maker, fan, file):
    """A post that its reader bought, subscribed to, liked and commented on, and that moderators hid."""
    post = factories.published_post(
        maker.pk, visibility="ppv", price=factories.PRICE, media_ids=[file.pk], preview_media_ids=[file.pk], **CANARIES
    )
    factories.subscription(fan.pk, maker.pk)
    factories.purchase(fan.pk, post)
    reader = Viewer(user_id=fan.pk)
    like_post(post_id=post.pk, viewer=reader)
    add_comment(post_id=post.pk, viewer=reader, body="Canary comment")
    note_likes(signals=[LikeSignal(post_id=post.pk, user_id=fan.pk, revision=1, active=True)])
    rescore_stale()
    moderate_post(post_id=post.pk, moderation="hidden", actor_id=uuid7())
    return post


def behind(client, post, file):
    """Everything that is only there for who may read the post."""
    address = f"/api/v1/posts/{post.pk}"
    comment = post.comments.get()
    return [
        client.get(f"{address}/comments"),
        client.get(f"{address}/comments/{comment.pk}/replies"),
        client.get(f"{address}/media/{file.pk}/url?variant=web_1280"),
        client.post(f"{address}/comments", {"body": "Hello"}),
        client.put(f"{address}/like"),
    ]


def test_nothing_of_it_is_there_for_whoever_paid(fan_client, maker, post, file):
    answers = [fan_client.get(f"/api/v1/posts/{post.pk}"), *behind(fan_client, post, file)]
    answers += [fan_client.post(f"/api/v1/posts/{post.pk}/reports", {"reason": "spam"})]
    lists = [fan_client.get(f"/api/v1/{path.format(maker.pk)}") for path in LISTS]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "not_found")] * 7
    assert [answer.json()["results"] for answer in lists] == [[]] * len(LISTS)


def test_a_hidden_post_answers_as_one_that_never_was(fan_client, post):
    hidden = fan_client.get(f"/api/v1/posts/{post.pk}").json()
    unknown = fan_client.get(f"/api/v1/posts/{uuid7()}").json()

    assert {**hidden, "trace_id": ""} == {**unknown, "trace_id": ""}


def test_its_creator_sees_a_stub(maker_client, maker, post, file):
    answer = maker_client.get(f"/api/v1/posts/{post.pk}")
    own = maker_client.get("/api/v1/me/posts")

    assert set(answer.json()) == STUB_FIELDS
    assert (answer.json()["moderation"], answer.json()["status"]) == ("hidden", "published")
    assert answer["ETag"] == '"2"'
    assert own.json()["results"] == [answer.json()]
    for word in ("Canary body", "Canary comment", str(file.pk), "web_1280"):
        assert word not in answer.content.decode()
    assert [(each.status_code, each.json()["code"]) for each in behind(maker_client, post, file)] == [
        (403, "locked")
    ] * 5
    for path in LISTS:
        assert maker_client.get(f"/api/v1/{path.format(maker.pk)}").json()["results"] == []


def test_changing_it_neither_shows_nor_frees_it(maker_client, post):
    address = f"/api/v1/posts/{post.pk}"

    changed = maker_client.patch(address, {"body": "Better words"}, headers={"If-Match": '"2"'})
    withdrawn = maker_client.post(f"{address}/withdraw")
    out_again = maker_client.post(f"{address}/publish")

    assert [answer.status_code for answer in (changed, withdrawn, out_again)] == [200, 200, 200]
    assert [set(answer.json()) for answer in (changed, withdrawn, out_again)] == [STUB_FIELDS] * 3
    after = Post.objects.get(pk=post.pk)
    assert (after.moderation, after.status, after.visibility) == ("hidden", "published", "ppv")


def test_a_moderator_reads_all_of_it(moderator_client, post, file):
    answer = moderator_client.get(f"/api/v1/posts/{post.pk}")
    comments, _, address, *_ = behind(moderator_client, post, file)

    assert (answer.json()["body"], answer.json()["title"]) == ("Canary body", "Canary title")
    assert [row["body"] for row in comments.json()["results"]] == ["Canary comment"]
    assert address.status_code == 200


def test_brought_back_it_is_as_it_was(fan_client, maker_client, guest_client, post, file):
    moderate_post(post_id=post.pk, moderation="clear", actor_id=uuid7())

    assert fan_client.get(f"/api/v1/posts/{post.pk}").json()["body"] == "Canary body"
    assert [row["id"] for row in fan_client.get("/api/v1/feed").json()["results"]] == [str(post.pk)]
    assert maker_client.get(f"/api/v1/posts/{post.pk}").json()["body"] == "Canary body"
    stranger = guest_client.get(f"/api/v1/posts/{post.pk}")
    assert (stranger.json()["is_locked"], "Canary body" in stranger.content.decode()) == (True, False)
