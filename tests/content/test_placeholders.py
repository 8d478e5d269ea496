"""What anyone may see of a post's first picture: a blur that the post itself holds."""

from uuid import uuid4

import pytest

from content.services.moderation import moderate_post
from eventbus.testing import deliver
from tests.content import factories

BLUR = "UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA=="
SHOWN = f"data:image/webp;base64,{BLUR}"


@pytest.fixture
def locked_post(maker):
    """Of a recording, which has none, and two pictures."""
    sound = factories.media(maker.pk, kind="audio")
    pictures = [factories.media(maker.pk, placeholder=placeholder) for placeholder in (BLUR, "AAAA")]
    media_ids = [file.pk for file in (sound, *pictures)]
    return factories.published_post(maker.pk, visibility="subscribers", media_ids=media_ids)


def test_a_locked_post_shows_the_blur_of_its_first_picture(guest_client, fan_client, maker_client, locked_post):
    for client in (guest_client, fan_client, maker_client):
        [row] = client.get("/api/v1/posts").json()["results"]
        assert row["placeholder"] == client.get(f"/api/v1/posts/{locked_post.pk}").json()["placeholder"] == SHOWN


def test_a_hidden_post_shows_none_to_its_creator_either(maker_client, locked_post):
    moderate_post(post_id=locked_post.pk, moderation="hidden", actor_id=uuid4())

    answer = maker_client.get(f"/api/v1/posts/{locked_post.pk}")

    assert answer.json()["placeholder"] is None
    assert BLUR not in answer.content.decode()


def test_what_media_tells_is_shown_until_the_file_is_gone(guest_client, maker):
    file = factories.media(maker.pk, status="processing", source_sequence=1)
    other = factories.media(maker.pk)
    deliver(factories.media_processed(media_id=file.pk, owner_id=maker.pk, placeholder=BLUR))
    post = factories.published_post(maker.pk, visibility="subscribers", media_ids=[file.pk, other.pk])
    address = f"/api/v1/posts/{post.pk}"
    assert guest_client.get(address).json()["placeholder"] == SHOWN

    deliver(factories.media_deleted(media_id=file.pk, owner_id=maker.pk))

    file.refresh_from_db()
    assert (guest_client.get(address).json()["placeholder"], file.placeholder) == (None, None)
