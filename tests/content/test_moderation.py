"""Moderators hide comments and bring them back, whoever is at work beside them; every decision is kept."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.http import Http404
from django.utils import timezone
from uuid_utils.compat import uuid7

from content.access import ANONYMOUS, Viewer
from content.events import Moderation, PostUpdated
from content.exceptions import ReplyDepthError
from content.models.posts import Post
from content.models.projections import PostTrend
from content.models.reactions import Comment
from content.models.reports import ModerationEntry, PostReport
from content.selectors import comments_of
from content.services.comments import add_comment, delete_comment, edit_comment
from content.services.lifecycle import publish_post, take_down_post
from content.services.moderation import hide_comment, moderate_post, reinstate_comment
from content.services.reports import report_post
from content.services.trending import rescore_stale
from eventbus.testing import published
from tests.content import factories
from tests.races import succeed_at_once

MODERATOR = uuid7()
WHY = {"actor_id": MODERATOR, "reason": "Against the rules"}


@pytest.fixture
def comment(public_post, reader) -> Comment:
    made = add_comment(post_id=public_post.pk, viewer=reader, body="Buy shoes")
    factories.forget_events()
    return made


def counts(post: Post) -> tuple[int, list[int]]:
    """What the post says of its comments, and what its top-level comments say of their answers."""
    replies = post.comments.filter(parent=None).order_by("created_at").values_list("reply_count", flat=True)
    return Post.objects.get(pk=post.pk).comment_count, list(replies)


def entries(**wanted) -> list[tuple]:
    found = ModerationEntry.objects.filter(**wanted).order_by("created_at")
    return list(found.values_list("action", "actor_id", "reason", "comment_id"))


# Comments


def test_a_hidden_comment_is_gone_and_not_counted_until_it_is_brought_back(public_post, comment):
    hide_comment(comment_id=comment.pk, **WHY)
    again = hide_comment(comment_id=comment.pk, **WHY)

    assert (again.status, again.body) == ("hidden", "Buy shoes")
    assert counts(public_post) == (0, [0])
    assert not comments_of(public_post, ANONYMOUS).exists()

    reinstate_comment(comment_id=comment.pk, **WHY)
    reinstate_comment(comment_id=comment.pk, **WHY)

    assert counts(public_post) == (1, [0])
    assert [row.body for row in comments_of(public_post, ANONYMOUS)] == ["Buy shoes"]
    assert published() == []
    assert entries() == [
        ("hide", MODERATOR, "Against the rules", comment.pk),
        ("clear", MODERATOR, "Against the rules", comment.pk),
    ]


def test_a_hidden_answer_is_taken_from_both_counts(public_post, comment, stranger):
    answer = add_comment(post_id=public_post.pk, viewer=stranger, body="Mine too", parent_id=comment.pk)

    hide_comment(comment_id=answer.pk, **WHY)
    assert counts(public_post) == (1, [0])

    reinstate_comment(comment_id=answer.pk, **WHY)
    assert counts(public_post) == (2, [1])


def test_a_hidden_comment_with_answers_stands_without_its_words(guest_client, public_post, comment, stranger):
    add_comment(post_id=public_post.pk, viewer=stranger, body="No, thanks", parent_id=comment.pk)

    hide_comment(comment_id=comment.pk, **WHY)

    [row] = guest_client.get(f"/api/v1/posts/{public_post.pk}/comments").json()["results"]
    assert (row["author"], row["body"], row["is_deleted"], row["reply_count"]) == (None, None, True, 1)


def test_nobody_answers_or_changes_a_hidden_comment(public_post, comment, reader, stranger):
    hide_comment(comment_id=comment.pk, **WHY)

    with pytest.raises(ReplyDepthError):
        add_comment(post_id=public_post.pk, viewer=stranger, body="Where?", parent_id=comment.pk)
    with pytest.raises(Http404):
        edit_comment(comment_id=comment.pk, viewer=reader, body="Sell shoes")

    assert list(Comment.objects.values_list("body", flat=True)) == ["Buy shoes"]


def test_its_author_may_delete_it_all_the_same_and_then_it_stays_gone(public_post, comment, reader):
    hide_comment(comment_id=comment.pk, **WHY)

    delete_comment(comment_id=comment.pk, viewer=reader)
    after = reinstate_comment(comment_id=comment.pk, **WHY)

    assert (after.status, after.body) == ("deleted", "")
    assert counts(public_post) == (0, [0])


def test_a_hidden_comment_does_not_help_its_post_to_trend(public_post, comment):
    PostTrend.objects.update_or_create(post=public_post, defaults={"is_stale": True})
    rescore_stale()
    assert PostTrend.objects.get().score > 0

    hide_comment(comment_id=comment.pk, **WHY)

    rescore_stale()
    assert PostTrend.objects.get().score == 0


# What is kept


def test_every_decision_about_a_post_is_kept(public_post):
    moderate_post(post_id=public_post.pk, moderation="hidden", **WHY)
    moderate_post(post_id=public_post.pk, moderation="hidden", **WHY)
    moderate_post(post_id=public_post.pk, moderation="clear", **WHY)
    take_down_post(post_id=public_post.pk, reason="policy", actor_id=MODERATOR, note="Against the rules")
    take_down_post(post_id=public_post.pk, reason="policy", actor_id=MODERATOR, note="Against the rules")

    assert entries(post=public_post) == [
        (action, MODERATOR, "Against the rules", None) for action in ("hide", "clear", "take_down")
    ]


def test_a_flag_of_the_readers_has_no_actor_and_a_dismissal_has_one(public_post):
    for _ in range(3):
        report(public_post)
    moderate_post(post_id=public_post.pk, moderation="clear", **WHY)
    report(public_post)
    moderate_post(post_id=public_post.pk, moderation="clear", **WHY)

    assert [row[:2] for row in entries()] == [("flag", None), ("clear", MODERATOR), ("clear", MODERATOR)]


def test_a_decision_and_its_entry_stand_or_fall_together(public_post):
    class GivenUpError(Exception):
        """The transaction is given up."""

    with pytest.raises(GivenUpError), transaction.atomic():
        moderate_post(post_id=public_post.pk, moderation="hidden", **WHY)
        raise GivenUpError

    assert (Post.objects.get().moderation, entries(), published()) == ("clear", [], [])


@pytest.mark.parametrize("values", [{"action": "frown"}, {"action": "take_down", "actor_id": None}])
def test_the_database_knows_what_a_decision_is(public_post, values):
    moderate_post(post_id=public_post.pk, moderation="hidden", **WHY)

    with pytest.raises(IntegrityError), transaction.atomic():
        ModerationEntry.objects.update(**values)


# Several at once


def report(post: Post) -> PostReport:
    long_ago = timezone.now() - timedelta(days=30)
    found, _ = report_post(post_id=post.pk, viewer=Viewer(user_id=uuid7()), member_since=long_ago, reason="spam")
    return found


@pytest.mark.django_db(transaction=True)
def test_the_reports_of_a_decided_crowd_never_flag_it_again(public_post):
    for _ in range(2):
        report(public_post)

    succeed_at_once(
        lambda: report(public_post),
        lambda: report(public_post),
        lambda: moderate_post(post_id=public_post.pk, moderation="clear", **WHY),
    )

    decided = ModerationEntry.objects.get(actor_id=MODERATOR)
    settled = PostReport.objects.filter(settled_at__isnull=False).count()
    assert Post.objects.get().moderation == "clear"
    assert PostReport.objects.open().count() == 4 - settled
    assert settled >= 2
    assert [event.moderation for event in published(PostUpdated)] in ([], [Moderation.FLAGGED, Moderation.CLEAR])
    assert decided.action == "clear"

    for _ in range(3 - PostReport.objects.open().count()):
        assert Post.objects.get().moderation == "clear"
        report(public_post)
    assert Post.objects.get().moderation == "flagged"


@pytest.mark.django_db(transaction=True)
def test_hiding_and_publishing_at_once_both_hold(creator_id):
    post = factories.draft(creator_id)

    succeed_at_once(
        lambda: publish_post(post_id=post.pk, creator_id=creator_id),
        lambda: moderate_post(post_id=post.pk, moderation="hidden", **WHY),
    )

    after = Post.objects.get()
    assert (after.status, after.moderation, after.version) == ("published", "hidden", 3)
    told = published(PostUpdated)
    assert [event.sequence for event in told] == [2, 3]
    assert (told[-1].status, told[-1].moderation) == ("published", Moderation.HIDDEN)
    assert not Post.objects.listed_for(ANONYMOUS).exists()


@pytest.mark.django_db(transaction=True)
def test_hiding_deleting_and_answering_at_once_leave_the_counts_right(public_post, comment, reader, stranger):
    other = add_comment(post_id=public_post.pk, viewer=reader, body="Good shoes")

    succeed_at_once(
        lambda: hide_comment(comment_id=comment.pk, **WHY),
        lambda: hide_comment(comment_id=comment.pk, **WHY),
        lambda: delete_comment(comment_id=comment.pk, viewer=reader),
        lambda: add_comment(post_id=public_post.pk, viewer=stranger, body="They are", parent_id=other.pk),
    )

    assert Comment.objects.get(pk=comment.pk).status == "deleted"
    assert counts(public_post) == (2, [0, 1])
    assert len(entries()) <= 1
