"""Readers like posts."""

from threading import Barrier, Thread

import pytest
from django.db import connection
from django.http import Http404
from uuid_utils.compat import uuid7

from content.access import Viewer
from content.events import PostLiked, PostUnliked
from content.exceptions import LockedError, NotPublishedError
from content.models.posts import Post
from content.models.reactions import PostLike
from content.services.lifecycle import delete_post
from content.services.likes import like_post, unlike_post
from eventbus.testing import published
from tests.content import factories


def test_a_like_is_counted_and_told(public_post, reader):
    post = like_post(post_id=public_post.pk, viewer=reader)

    assert post.like_count == 1
    [event] = published()
    assert type(event) is PostLiked
    assert (event.post_id, event.user_id, event.creator_id) == (post.pk, reader.user_id, post.creator_id)
    assert (event.revision, event.sequence, event.like_count) == (1, 1, 1)


def test_liking_twice_is_liking_once(public_post, reader):
    like_post(post_id=public_post.pk, viewer=reader)
    again = like_post(post_id=public_post.pk, viewer=reader)

    assert again.like_count == 1
    assert len(published()) == 1


def test_every_turn_is_the_next_revision(public_post, reader):
    like_post(post_id=public_post.pk, viewer=reader)
    unlike_post(post_id=public_post.pk, viewer=reader)
    unlike_post(post_id=public_post.pk, viewer=reader)
    like_post(post_id=public_post.pk, viewer=reader)

    told = [(type(event), event.revision, event.like_count) for event in published()]
    assert told == [(PostLiked, 1, 1), (PostUnliked, 2, 0), (PostLiked, 3, 1)]
    like = PostLike.objects.get()
    assert (like.active, like.revision) == (True, 3)


def test_taking_back_what_was_never_given_changes_nothing(public_post, reader):
    assert unlike_post(post_id=public_post.pk, viewer=reader).like_count == 0
    assert published() == []
    assert PostLike.objects.count() == 0


def test_a_locked_post_cannot_be_liked(subscribers_post, reader):
    with pytest.raises(LockedError):
        like_post(post_id=subscribers_post.pk, viewer=reader)

    assert PostLike.objects.count() == 0
    assert published() == []


def test_a_like_can_be_taken_back_after_the_post_became_locked(subscribers_post, reader):
    held = factories.subscription(reader.user_id, subscribers_post.creator_id)
    like_post(post_id=subscribers_post.pk, viewer=reader)
    held.delete()

    assert unlike_post(post_id=subscribers_post.pk, viewer=reader).like_count == 0


def test_a_deleted_post_and_anothers_draft_are_not_there(creator_id, public_post, reader):
    delete_post(post_id=public_post.pk, creator_id=creator_id)
    draft = factories.draft(creator_id)

    for post in (public_post, draft):
        with pytest.raises(Http404):
            like_post(post_id=post.pk, viewer=reader)
    assert PostLike.objects.count() == 0


def test_a_creator_cannot_like_their_own_draft(creator_id, creator):
    draft = factories.draft(creator_id)

    with pytest.raises(NotPublishedError):
        like_post(post_id=draft.pk, viewer=creator)

    assert PostLike.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_likes_at_the_same_moment_are_all_counted_once():
    post = factories.published_post(uuid7())
    readers = [Viewer(user_id=uuid7()) for _ in range(3)]
    start = Barrier(6)

    def like(viewer: Viewer) -> None:
        start.wait()
        try:
            like_post(post_id=post.pk, viewer=viewer)
        finally:
            connection.close()

    threads = [Thread(target=like, args=(viewer,)) for viewer in readers for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Post.objects.get(pk=post.pk).like_count == 3
    assert sorted(event.like_count for event in published(PostLiked)) == [1, 2, 3]
    assert [event.like_count for event in published(PostLiked)] == [1, 2, 3]
