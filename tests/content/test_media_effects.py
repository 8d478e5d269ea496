"""What happens to a file happens to the posts that show it."""

from itertools import permutations
from threading import Barrier, Thread

import pytest
from django.db import connection
from msgspec.structs import replace
from uuid_utils.compat import uuid7

from content.events import ContentType, PostStatus, PostUpdated
from content.models.posts import Post
from content.models.projections import MediaRef
from content.services.lifecycle import delete_post, publish_post
from content.services.references import keep_processed_media
from eventbus.testing import deliver, published
from tests.content import factories


def processed(media, **fields):
    return factories.media_processed(media_id=media.pk, owner_id=media.owner_id, sequence=5, **fields)


def rejected(media, **fields):
    return factories.media_rejected(media_id=media.pk, owner_id=media.owner_id, sequence=5, **fields)


def deleted(media):
    return factories.media_deleted(media_id=media.pk, owner_id=media.owner_id, sequence=6)


def slow(creator_id):
    return factories.media(creator_id, status="processing")


def test_a_waiting_post_comes_out_when_its_last_file_is_ready(creator_id):
    first, last = slow(creator_id), slow(creator_id)
    post = factories.published_post(creator_id, media_ids=[first.pk, last.pk])

    deliver(processed(first), to="content")
    assert published() == []
    event = processed(last)
    deliver(event, event, to="content")

    [told] = published()
    assert type(told) is PostUpdated
    assert (told.status, told.previous_status) == (PostStatus.PUBLISHED, PostStatus.AWAITING_MEDIA)
    assert told.changed_fields == ("status",)
    assert told.sequence == 2
    post.refresh_from_db()
    assert post.published_at is not None


def test_a_waiting_post_becomes_a_draft_when_a_file_is_refused(creator_id):
    good, bad = slow(creator_id), slow(creator_id)
    post = factories.published_post(creator_id, media_ids=[good.pk, bad.pk])

    deliver(rejected(bad), processed(good), to="content")

    [told] = published()
    assert (told.status, told.previous_status) == (PostStatus.DRAFT, PostStatus.AWAITING_MEDIA)
    post.refresh_from_db()
    assert (post.status, post.hold_reason) == ("draft", "media_rejected")


def test_a_draft_stays_a_draft_when_its_file_is_ready(creator_id):
    image = slow(creator_id)
    post = factories.draft(creator_id, media_ids=[image.pk])

    deliver(processed(image), to="content")

    assert published() == []
    assert publish_post(post_id=post.pk, creator_id=creator_id).status == Post.Status.PUBLISHED


def test_publishing_forgets_why_a_post_was_held_back(creator_id):
    image = slow(creator_id)
    post = factories.published_post(creator_id, media_ids=[image.pk])
    deliver(rejected(image), deleted(image), to="content")

    assert publish_post(post_id=post.pk, creator_id=creator_id).hold_reason is None


def test_a_deleted_file_leaves_every_post_that_showed_it(creator_id):
    image, video = factories.media(creator_id), factories.media(creator_id, kind="video")
    shared = factories.published_post(creator_id, media_ids=[image.pk, video.pk])
    other = factories.published_post(creator_id, media_ids=[image.pk])
    event = deleted(image)

    deliver(event, event, to="content")

    told = {event.post_id: event for event in published(PostUpdated)}
    assert len(published()) == 2
    assert told[shared.pk].media_ids == (video.pk,)
    assert told[shared.pk].content_type is ContentType.VIDEO
    assert told[shared.pk].changed_fields == ("media_ids",)
    assert (told[other.pk].media_ids, told[other.pk].status) == ((), PostStatus.PUBLISHED)


def test_a_post_left_with_nothing_becomes_a_draft(creator_id):
    image = factories.media(creator_id)
    post = factories.published_post(creator_id, body="", media_ids=[image.pk])

    deliver(deleted(image), to="content")

    [told] = published(PostUpdated)
    assert (told.status, told.changed_fields) == (PostStatus.DRAFT, ("media_ids", "status"))
    post.refresh_from_db()
    assert post.hold_reason == "media_deleted"


def test_a_waiting_post_comes_out_when_the_file_it_waited_for_is_deleted(creator_id):
    image = slow(creator_id)
    factories.published_post(creator_id, media_ids=[image.pk])

    deliver(deleted(image), to="content")

    assert [event.status for event in published(PostUpdated)] == [PostStatus.PUBLISHED]


def test_a_deleted_post_hears_nothing_more(creator_id):
    image = factories.media(creator_id)
    post = factories.published_post(creator_id, media_ids=[image.pk])
    delete_post(post_id=post.pk, creator_id=creator_id)
    factories.forget_events()

    deliver(deleted(image), to="content")

    assert published() == []


def test_a_deleted_file_is_the_same_tombstone_in_any_order(creator_id):
    image = uuid7()
    events = [
        factories.media_uploaded(media_id=image, owner_id=creator_id, sequence=1),
        factories.media_processed(media_id=image, owner_id=creator_id, sequence=2),
        factories.media_deleted(media_id=image, owner_id=creator_id, sequence=3),
    ]
    found = []
    for order_of in permutations(events):
        MediaRef.objects.all().delete()
        deliver(*(replace(event, id=str(uuid7())) for event in order_of), to="content")
        found += MediaRef.objects.values_list("kind", "status", "width", "height", "variants", "source_sequence")

    assert found == [("image", "deleted", None, None, [], 3)] * 6


@pytest.mark.django_db(transaction=True)
def test_publishing_while_the_file_becomes_ready_never_leaves_a_post_waiting():
    creator_id = uuid7()
    for _ in range(5):
        image = slow(creator_id)
        post = factories.draft(creator_id, media_ids=[image.pk])
        start = Barrier(2)

        def publish(start=start, post=post) -> None:
            start.wait()
            try:
                publish_post(post_id=post.pk, creator_id=creator_id)
            finally:
                connection.close()

        def finish(start=start, image=image) -> None:
            start.wait()
            try:
                keep_processed_media(
                    media_id=image.pk,
                    sequence=5,
                    owner_id=creator_id,
                    kind="image",
                    status="ready",
                    width=1,
                    height=1,
                    duration_ms=None,
                    variants=["web_1280"],
                    placeholder=None,
                )
            finally:
                connection.close()

        threads = [Thread(target=publish), Thread(target=finish)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert Post.objects.get(pk=post.pk).status == Post.Status.PUBLISHED
