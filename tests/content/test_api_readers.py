"""Likes, comments and files over HTTP."""

from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.cache import cache
from uuid_utils.compat import uuid7

from api.signed_urls import verify
from content.access import Viewer
from content.models.reactions import Comment, PostLike
from content.services.comments import add_comment, delete_comment
from tests.content import factories


@pytest.fixture(autouse=True)
def _fresh_counters():
    cache.clear()


def comment(post, user_id, *, parent=None, body="Well said"):
    viewer = Viewer(user_id=user_id)
    parent_id = parent.pk if parent else None
    return add_comment(post_id=post.pk, viewer=viewer, body=body, parent_id=parent_id)


def test_a_like_is_put_and_deleted(fan_client, public_post):
    address = f"/api/v1/posts/{public_post.pk}/like"

    assert fan_client.put(address).json() == {"liked": True, "like_count": 1}
    assert fan_client.put(address).json() == {"liked": True, "like_count": 1}
    assert fan_client.get(f"/api/v1/posts/{public_post.pk}").json()["liked"] is True
    assert fan_client.delete(address).json() == {"liked": False, "like_count": 0}
    assert fan_client.delete(address).json() == {"liked": False, "like_count": 0}


def test_a_locked_post_is_403_and_an_unknown_one_404(fan_client, guest_client, subscribers_post, creator_id):
    draft = factories.draft(creator_id)
    for post_id, status, code in ((subscribers_post.pk, 403, "locked"), (draft.pk, 404, "not_found")):
        address = f"/api/v1/posts/{post_id}"
        answers = [
            fan_client.put(f"{address}/like"),
            fan_client.get(f"{address}/comments"),
            fan_client.post(f"{address}/comments", {"body": "Hello"}),
            fan_client.get(f"{address}/comments/{uuid7()}/replies"),
            fan_client.get(f"{address}/media/{uuid7()}/url?variant=web_1280"),
            guest_client.get(f"{address}/comments"),
            guest_client.get(f"{address}/media/{uuid7()}/url?variant=web_1280"),
        ]
        assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(status, code)] * 7

    assert PostLike.objects.count() == 0
    assert Comment.objects.count() == 0


def test_guests_neither_like_nor_comment(guest_client, public_post):
    address = f"/api/v1/posts/{public_post.pk}"

    assert guest_client.put(f"{address}/like").status_code == 401
    assert guest_client.delete(f"{address}/like").status_code == 401
    assert guest_client.post(f"{address}/comments", {"body": "Hello"}).status_code == 401
    assert (PostLike.objects.count(), Comment.objects.count()) == (0, 0)


def test_a_comment_is_written_changed_and_deleted(fan_client, fan, public_post):
    written = fan_client.post(f"/api/v1/posts/{public_post.pk}/comments", {"body": " Hello \n there "})

    assert written.status_code == 201
    answer = written.json()
    assert answer["body"] == "Hello \n there"
    assert answer["author"] == {"id": str(fan.pk), "display_name": fan.display_name}
    assert (answer["post_id"], answer["parent_id"], answer["is_deleted"]) == (str(public_post.pk), None, False)
    changed = fan_client.patch(f"/api/v1/comments/{answer['id']}", {"body": "Goodbye"})
    assert (changed.status_code, changed.json()["body"]) == (200, "Goodbye")
    assert changed.json()["edited_at"] is not None
    assert fan_client.delete(f"/api/v1/comments/{answer['id']}").status_code == 204
    assert fan_client.get(f"/api/v1/posts/{public_post.pk}/comments").json()["results"] == []


@pytest.mark.parametrize(
    "body", [{}, {"body": ""}, {"body": "  "}, {"body": "x" * 2001}, {"body": "x", "post_id": "1"}]
)
def test_a_malformed_comment_is_refused(fan_client, public_post, body):
    assert fan_client.post(f"/api/v1/posts/{public_post.pk}/comments", body).status_code == 400
    assert Comment.objects.count() == 0


def test_comments_newest_first_answers_oldest_first(guest_client, fan, public_post):
    first, second = comment(public_post, fan.pk), comment(public_post, fan.pk)
    answers = [comment(public_post, fan.pk, parent=first) for _ in range(2)]
    address = f"/api/v1/posts/{public_post.pk}/comments"

    listed = guest_client.get(address).json()["results"]
    assert [(row["id"], row["reply_count"]) for row in listed] == [(str(second.pk), 0), (str(first.pk), 2)]
    replies = guest_client.get(f"{address}/{first.pk}/replies").json()["results"]
    assert [row["id"] for row in replies] == [str(answer.pk) for answer in answers]


def test_a_deleted_comment_with_answers_stays_without_words(guest_client, fan, public_post):
    question = comment(public_post, fan.pk, body="SECRET")
    comment(public_post, fan.pk, parent=question)
    delete_comment(comment_id=question.pk, viewer=Viewer(user_id=fan.pk))

    [row] = guest_client.get(f"/api/v1/posts/{public_post.pk}/comments").json()["results"]

    assert (row["id"], row["is_deleted"], row["author"], row["body"]) == (str(question.pk), True, None, None)


def test_answering_an_answer_is_refused(fan_client, fan, public_post):
    answer = comment(public_post, fan.pk, parent=comment(public_post, fan.pk))

    refused = fan_client.post(
        f"/api/v1/posts/{public_post.pk}/comments", {"body": "Hello", "parent_id": str(answer.pk)}
    )

    assert (refused.status_code, refused.json()["code"]) == (422, "reply_depth")
    assert Comment.objects.count() == 2


def test_somebody_elses_comment_is_not_there(fan_client, public_post):
    others = comment(public_post, uuid7())

    assert fan_client.patch(f"/api/v1/comments/{others.pk}", {"body": "Mine"}).status_code == 404
    assert fan_client.delete(f"/api/v1/comments/{others.pk}").status_code == 404
    others.refresh_from_db()
    assert others.body == "Well said"


def test_a_moderator_deletes_any_comment(moderator_client, public_post):
    others = comment(public_post, uuid7())

    assert moderator_client.delete(f"/api/v1/comments/{others.pk}").status_code == 204


def test_a_page_of_comments_costs_the_same_for_many(fan_client, fan, public_post, django_assert_num_queries):
    for count in (1, 6):
        for _ in range(count):
            comment(public_post, fan.pk)
        # role, post, entitlements, blocks, comments, names
        with django_assert_num_queries(6):
            fan_client.get(f"/api/v1/posts/{public_post.pk}/comments")


def test_a_reader_gets_an_address_that_opens(fan_client, fan, creator_id):
    image = factories.media(creator_id)
    video = factories.media(creator_id, kind="video", variants=["mp4_480"])
    post = factories.published_post(creator_id, visibility="subscribers", media_ids=[image.pk, video.pk])
    factories.subscription(fan.pk, creator_id)

    answer = fan_client.get(f"/api/v1/posts/{post.pk}/media/{image.pk}/url?variant=web_1280")

    assert answer.status_code == 200
    assert set(answer.json()) == {"url", "expires_at"}
    split = urlsplit(answer.json()["url"])
    query = {name: values[0] for name, values in parse_qs(split.query).items()}
    assert split.path == f"/api/v1/media/files/{image.pk}/web_1280"
    assert query["viewer"] == str(fan.pk)
    verify(media_id=image.pk, variant="web_1280", **query)
    assert answer["Cache-Control"] == "private, no-store"
    assert fan_client.get(f"/api/v1/posts/{post.pk}/media/{video.pk}/url?variant=mp4_480").status_code == 200


def test_an_address_is_only_for_a_rendition_of_a_ready_file_of_the_post(fan_client, creator_id):
    image, slow, elsewhere = (
        factories.media(creator_id),
        factories.media(creator_id, status="processing", variants=[]),
        factories.media(creator_id),
    )
    post = factories.published_post(creator_id, media_ids=[image.pk])
    waiting = factories.draft(creator_id, media_ids=[slow.pk])
    waiting.__class__.objects.filter(pk=waiting.pk).update(status="published", published_at=waiting.created_at)

    def status_of(post, media, query="?variant=web_1280"):
        return fan_client.get(f"/api/v1/posts/{post.pk}/media/{media.pk}/url{query}").status_code

    assert status_of(post, image, "?variant=web_4096") == 404
    assert status_of(post, image, "") == 400
    assert status_of(post, elsewhere) == 404
    assert status_of(waiting, slow) == 409
