"""Readers talk under posts."""

import pytest
from django.http import Http404
from uuid_utils.compat import uuid7

from content.access import Viewer
from content.events import CommentCreated
from content.exceptions import CommentsClosedError, LockedError, ReplyDepthError
from content.models.reactions import Comment
from content.services.comments import add_comment, delete_comment, edit_comment
from content.services.posts import update_post
from eventbus.testing import published
from tests.content import factories


def comment_on(post, viewer, *, body="Well said", parent=None) -> Comment:
    return add_comment(
        post_id=post.pk,
        viewer=viewer,
        body=body,
        parent_id=parent.pk if parent else None,
    )


def test_a_comment_is_counted_and_told_without_its_words(public_post, reader):
    comment = comment_on(public_post, reader, body="Very private words")

    public_post.refresh_from_db()
    assert public_post.comment_count == 1
    [event] = published()
    assert event == CommentCreated(
        id=event.id,
        timestamp=event.timestamp,
        sequence=1,
        comment_id=comment.pk,
        post_id=public_post.pk,
        creator_id=public_post.creator_id,
        author_id=reader.user_id,
        parent_comment_id=None,
        parent_author_id=None,
        comment_count=1,
        created_at=comment.created_at,
    )
    assert b"private" not in event.encode()


def test_an_answer_names_whom_it_answers(public_post, reader, stranger):
    question = comment_on(public_post, reader)

    comment_on(public_post, stranger, parent=question)

    event = published(CommentCreated)[1]
    assert (event.parent_comment_id, event.parent_author_id) == (question.pk, reader.user_id)
    assert event.comment_count == 2
    question.refresh_from_db()
    assert question.reply_count == 1


def test_an_answer_cannot_be_answered(public_post, reader):
    answer = comment_on(public_post, reader, parent=comment_on(public_post, reader))

    with pytest.raises(ReplyDepthError):
        comment_on(public_post, reader, parent=answer)

    assert Comment.objects.count() == 2


def test_a_comment_of_another_post_cannot_be_answered_here(creator_id, public_post, reader):
    elsewhere = comment_on(factories.published_post(creator_id), reader)

    with pytest.raises(ReplyDepthError):
        comment_on(public_post, reader, parent=elsewhere)

    assert public_post.comments.count() == 0


def test_a_deleted_comment_cannot_be_answered(public_post, reader):
    comment = comment_on(public_post, reader)
    delete_comment(comment_id=comment.pk, viewer=reader)

    with pytest.raises(ReplyDepthError):
        comment_on(public_post, reader, parent=comment)

    assert Comment.objects.count() == 1


def test_a_locked_post_takes_no_comment(subscribers_post, reader):
    with pytest.raises(LockedError):
        comment_on(subscribers_post, reader)

    assert Comment.objects.count() == 0
    assert published() == []


def test_a_creator_can_close_the_comments(public_post, reader):
    update_post(
        post_id=public_post.pk, creator_id=public_post.creator_id, version=1, fields={"comments_enabled": False}
    )
    factories.forget_events()

    with pytest.raises(CommentsClosedError):
        comment_on(public_post, reader)

    assert Comment.objects.count() == 0
    assert published() == []


def test_the_author_changes_their_words(public_post, reader):
    comment = comment_on(public_post, reader)
    factories.forget_events()

    edited = edit_comment(comment_id=comment.pk, viewer=reader, body="Better said")

    assert edited.body == "Better said"
    assert edited.edited_at is not None
    assert published() == []


def test_nobody_else_changes_them(public_post, reader, stranger, creator):
    comment = comment_on(public_post, reader)

    for viewer in (stranger, creator, Viewer(user_id=uuid7(), is_moderator=True)):
        with pytest.raises(Http404):
            edit_comment(comment_id=comment.pk, viewer=viewer, body="Not mine")

    comment.refresh_from_db()
    assert comment.body == "Well said"


def test_without_access_the_author_cannot_change_but_can_delete(subscribers_post, reader):
    held = factories.subscription(reader.user_id, subscribers_post.creator_id)
    comment = comment_on(subscribers_post, reader)
    held.delete()

    with pytest.raises(LockedError):
        edit_comment(comment_id=comment.pk, viewer=reader, body="Changed")
    delete_comment(comment_id=comment.pk, viewer=reader)

    comment.refresh_from_db()
    assert (comment.status, comment.body) == (Comment.Status.DELETED, "")


@pytest.mark.parametrize("who", ["author", "creator", "moderator"])
def test_author_creator_and_moderator_delete(public_post, reader, creator, who):
    viewers = {"author": reader, "creator": creator, "moderator": Viewer(user_id=uuid7(), is_moderator=True)}
    question = comment_on(public_post, reader)
    answer = comment_on(public_post, reader, parent=question)

    delete_comment(comment_id=answer.pk, viewer=viewers[who])

    answer.refresh_from_db()
    question.refresh_from_db()
    public_post.refresh_from_db()
    assert (answer.status, answer.body) == (Comment.Status.DELETED, "")
    assert (question.reply_count, public_post.comment_count) == (0, 1)


def test_a_stranger_does_not_delete_and_nobody_deletes_twice(public_post, reader, stranger):
    comment = comment_on(public_post, reader)

    with pytest.raises(Http404):
        delete_comment(comment_id=comment.pk, viewer=stranger)
    delete_comment(comment_id=comment.pk, viewer=reader)
    with pytest.raises(Http404):
        delete_comment(comment_id=comment.pk, viewer=reader)

    public_post.refresh_from_db()
    assert public_post.comment_count == 0
