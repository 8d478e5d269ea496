"""Files that a creator shows to everyone, of a post that is locked for most."""

from uuid import uuid4

import pytest

from content.events import PostUpdated
from content.exceptions import PreviewNotInPostError
from content.models.posts import Post
from content.services.moderation import moderate_post
from content.services.posts import update_post
from eventbus.testing import deliver, published
from tests.content import factories


@pytest.fixture
def files(maker):
    return [factories.media(maker.pk) for _ in range(3)]


@pytest.fixture
def locked_post(maker, files):
    """Its second file is a preview."""
    media_ids = [file.pk for file in files]
    return factories.published_post(
        maker.pk, visibility="subscribers", media_ids=media_ids, preview_media_ids=media_ids[1:2]
    )


def address(post, file):
    return f"/api/v1/posts/{post.pk}/media/{file.pk}/url?variant=thumb_320"


def change(post, **fields) -> Post:
    version = Post.objects.get(pk=post.pk).version
    return update_post(post_id=post.pk, creator_id=post.creator_id, version=version, fields=fields)


def test_a_locked_post_shows_its_previews_and_nothing_of_the_rest(guest_client, fan_client, locked_post, files):
    for client in (guest_client, fan_client):
        for url in (f"/api/v1/posts/{locked_post.pk}", "/api/v1/posts"):
            answer = client.get(url)
            row = answer.json() if url != "/api/v1/posts" else answer.json()["results"][0]
            assert row["is_locked"] is True
            assert [file["id"] for file in row["previews"]] == [str(files[1].pk)]
            text = answer.content.decode()
            assert str(files[0].pk) not in text
            assert str(files[2].pk) not in text


def test_only_a_previews_bytes_are_handed_out(guest_client, fan_client, maker_client, locked_post, files):
    for client in (guest_client, fan_client):
        answers = [client.get(address(locked_post, file)) for file in files]
        assert [answer.status_code for answer in answers] == [403, 200, 403]
        assert answers[0].json()["code"] == "locked"
    assert [maker_client.get(address(locked_post, file)).status_code for file in files] == [200] * 3


def test_of_a_post_that_is_not_there_no_preview_is_either(guest_client, locked_post, files):
    moderate_post(post_id=locked_post.pk, moderation="hidden", actor_id=uuid4())

    assert guest_client.get(address(locked_post, files[1])).status_code == 404


def test_a_preview_of_one_post_opens_nothing_of_another(fan_client, maker, files, locked_post):
    other = factories.published_post(maker.pk, visibility="subscribers", media_ids=[files[1].pk])

    assert fan_client.get(address(other, files[1])).status_code == 403


def test_previews_change_with_the_post(locked_post, files):
    ids = [file.pk for file in files]

    change(locked_post, preview_media_ids=[ids[2], ids[0]])
    assert Post.objects.get(pk=locked_post.pk).preview_ids == [ids[0], ids[2]]
    change(locked_post, media_ids=[ids[2], ids[1]])
    assert Post.objects.get(pk=locked_post.pk).preview_ids == [ids[2]]
    change(locked_post, preview_media_ids=[])
    assert Post.objects.get(pk=locked_post.pk).preview_ids == []

    assert [event.changed_fields for event in published(PostUpdated)] == [
        ("preview_media_ids",),
        ("media_ids", "preview_media_ids"),
        ("preview_media_ids",),
    ]


def test_the_same_previews_again_are_no_change(locked_post, files):
    change(locked_post, preview_media_ids=[files[1].pk])

    assert published() == []


@pytest.mark.parametrize("stranger", ["unknown", "own file that is not in the post"])
def test_a_preview_is_one_of_the_posts_files(locked_post, stranger):
    media_id = uuid4() if stranger == "unknown" else factories.media(locked_post.creator_id).pk

    with pytest.raises(PreviewNotInPostError):
        change(locked_post, preview_media_ids=[media_id])

    assert published() == []


def test_a_deleted_file_is_no_preview_any_more(guest_client, locked_post, files):
    deliver(factories.media_deleted(media_id=files[1].pk, owner_id=locked_post.creator_id, sequence=6), to="content")

    assert guest_client.get(f"/api/v1/posts/{locked_post.pk}").json()["previews"] == []
    assert guest_client.get(address(locked_post, files[1])).status_code == 403


def test_over_http_with_a_new_post(maker_client, files):
    ids = [str(file.pk) for file in files]
    body = {"visibility": "subscribers", "title": "x", "body": "y", "media_ids": ids, "preview_media_ids": ids[:1]}

    answer = maker_client.post("/api/v1/posts", body, format="json", headers={"Idempotency-Key": str(uuid4())})
    refused = maker_client.post(
        "/api/v1/posts",
        {**body, "preview_media_ids": [str(uuid4())]},
        format="json",
        headers={"Idempotency-Key": str(uuid4())},
    )

    assert (answer.status_code, [file["id"] for file in answer.json()["previews"]]) == (201, ids[:1])
    assert (refused.status_code, refused.json()["code"]) == (422, "preview_not_in_post")
