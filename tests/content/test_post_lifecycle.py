"""A post comes out, goes off sale, is deleted, is hidden."""

from datetime import timedelta
from functools import partial

import pytest
from django.db import IntegrityError, transaction
from django.http import Http404
from django.utils import timezone
from uuid_utils.compat import uuid7

from content.events import DeletedBy, DeletionReason, Moderation, PostDeleted, PostStatus, PostUpdated
from content.exceptions import EmptyPostError, HasPurchasesError, InvalidTransitionError, MediaUnusableError
from content.models.posts import Post
from content.services.lifecycle import (
    delete_post,
    publish_post,
    schedule_post,
    take_down_post,
    withdraw_post,
)
from content.services.moderation import moderate_post
from eventbus.testing import published
from tests.content import factories
from tests.content.factories import PRICE

TOMORROW = timezone.now() + timedelta(days=1)
STEPS = {
    "publish": publish_post,
    "schedule": partial(schedule_post, publish_at=TOMORROW),
    "withdraw": withdraw_post,
    "delete": delete_post,
}
ALLOWED = {
    ("draft", "publish"): "published",
    ("scheduled", "publish"): "published",
    ("withdrawn", "publish"): "published",
    ("draft", "schedule"): "scheduled",
    ("awaiting_media", "schedule"): "awaiting_media",
    ("scheduled", "schedule"): "scheduled",
    ("published", "withdraw"): "withdrawn",
    ("draft", "delete"): "deleted",
    ("awaiting_media", "delete"): "deleted",
    ("scheduled", "delete"): "deleted",
    ("published", "delete"): "deleted",
    ("withdrawn", "delete"): "deleted",
}


def standing(creator_id, status) -> Post:
    """A post that came to this status by the services."""
    if status == "awaiting_media":
        slow = factories.media(creator_id, status="processing")
        return factories.published_post(creator_id, media_ids=[slow.pk])
    post = factories.draft(creator_id) if status in ("draft", "scheduled") else factories.published_post(creator_id)
    if status == "scheduled":
        schedule_post(post_id=post.pk, creator_id=creator_id, publish_at=TOMORROW + timedelta(hours=1))
    if status == "withdrawn":
        withdraw_post(post_id=post.pk, creator_id=creator_id)
    if status == "deleted":
        delete_post(post_id=post.pk, creator_id=creator_id)
    factories.forget_events()
    return post


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("status", ["draft", "awaiting_media", "scheduled", "published", "withdrawn", "deleted"])
def test_every_step_from_every_status(creator_id, status, step):
    post = standing(creator_id, status)
    before = Post.objects.get(pk=post.pk)
    reached = ALLOWED.get((status, step))

    if reached is None:
        with pytest.raises(Http404 if status == "deleted" else InvalidTransitionError):
            STEPS[step](post_id=post.pk, creator_id=creator_id)
        after = Post.objects.get(pk=post.pk)
        assert (after.status, after.sequence, after.version) == (status, before.sequence, before.version)
        assert published() == []
    else:
        STEPS[step](post_id=post.pk, creator_id=creator_id)
        after = Post.objects.get(pk=post.pk)
        assert (after.status, after.sequence, after.version) == (reached, before.sequence + 1, before.version + 1)
        assert [event.sequence for event in published()] == [before.sequence + 1]


@pytest.mark.parametrize("step", STEPS)
def test_somebody_elses_post_is_not_there(creator_id, step):
    post = factories.published_post(creator_id)

    with pytest.raises(Http404):
        STEPS[step](post_id=post.pk, creator_id=uuid7())

    assert Post.objects.get(pk=post.pk).status == Post.Status.PUBLISHED
    assert published() == []


def test_publishing_tells_where_it_stood(creator_id):
    post = factories.draft(creator_id)

    publish_post(post_id=post.pk, creator_id=creator_id)

    [event] = published(PostUpdated)
    assert (event.status, event.previous_status) == (PostStatus.PUBLISHED, PostStatus.DRAFT)
    assert event.changed_fields == ("status",)


def test_what_comes_back_keeps_its_first_publication(creator_id):
    post = factories.published_post(creator_id)
    withdraw_post(post_id=post.pk, creator_id=creator_id)

    back = publish_post(post_id=post.pk, creator_id=creator_id)

    assert back.published_at == post.published_at
    assert back.withdrawn_at is None


def test_an_empty_draft_cannot_be_published(creator_id):
    post = factories.draft(creator_id, body="")

    with pytest.raises(EmptyPostError):
        publish_post(post_id=post.pk, creator_id=creator_id)

    assert Post.objects.get(pk=post.pk).status == Post.Status.DRAFT
    assert published() == []


def test_a_draft_with_a_refused_file_cannot_be_published(creator_id):
    image = factories.media(creator_id, status="processing")
    post = factories.draft(creator_id, media_ids=[image.pk])
    image.status = "rejected"
    image.save(update_fields=["status"])

    with pytest.raises(MediaUnusableError):
        publish_post(post_id=post.pk, creator_id=creator_id)

    assert published() == []


def test_a_withdrawn_post_is_off_sale(creator_id):
    post = factories.published_post(creator_id, visibility="ppv", price=PRICE)

    withdraw_post(post_id=post.pk, creator_id=creator_id)

    [event] = published(PostUpdated)
    assert not event.is_on_sale
    assert event.price_amount == 500


def test_deleting_tells_the_files_and_the_end(creator_id):
    image = factories.media(creator_id)
    post = factories.published_post(creator_id, media_ids=[image.pk])

    deleted = delete_post(post_id=post.pk, creator_id=creator_id)

    [event] = published()
    assert type(event) is PostDeleted
    assert event.sequence == 2
    assert (event.media_ids, event.retained_media_ids) == ((image.pk,), ())
    assert (event.deleted_by, event.reason) == (DeletedBy.CREATOR, DeletionReason.OWNER_REQUEST)
    assert event.refund_purchases is True  # of a purchase that was told too late to be in the way
    assert event.deleted_at == deleted.deleted_at


def test_a_bought_post_cannot_be_deleted_by_its_creator(creator_id):
    post = factories.published_post(creator_id, visibility="ppv", price=PRICE)
    factories.purchase(uuid7(), post)

    with pytest.raises(HasPurchasesError):
        delete_post(post_id=post.pk, creator_id=creator_id)

    assert Post.objects.get(pk=post.pk).status == Post.Status.PUBLISHED
    assert published() == []


def test_a_refunded_purchase_does_not_keep_a_post(creator_id):
    post = factories.published_post(creator_id, visibility="ppv", price=PRICE)
    factories.purchase(uuid7(), post, revoked_at=post.created_at)

    assert delete_post(post_id=post.pk, creator_id=creator_id).status == Post.Status.DELETED


def test_staff_takes_a_bought_post_down_and_has_its_buyers_refunded(creator_id):
    post = factories.published_post(creator_id, visibility="ppv", price=PRICE)
    factories.purchase(uuid7(), post)

    take_down_post(post_id=post.pk, reason=DeletionReason.POLICY, actor_id=uuid7())
    take_down_post(post_id=post.pk, reason=DeletionReason.POLICY, actor_id=uuid7())

    [event] = published(PostDeleted)
    assert (event.deleted_by, event.reason, event.refund_purchases) == (DeletedBy.STAFF, DeletionReason.POLICY, True)


def test_hiding_leaves_status_and_audience_alone(creator_id):
    post = factories.published_post(creator_id, visibility="ppv", price=PRICE)

    moderate_post(post_id=post.pk, moderation=Post.Moderation.HIDDEN, actor_id=uuid7())
    moderate_post(post_id=post.pk, moderation=Post.Moderation.HIDDEN, actor_id=uuid7())

    [event] = published(PostUpdated)
    assert event.moderation is Moderation.HIDDEN
    assert event.changed_fields == ("moderation",)
    assert not event.is_on_sale
    post.refresh_from_db()
    assert (post.status, post.visibility) == ("published", "ppv")


@pytest.mark.parametrize(
    "columns",
    [
        {"status": "gone"},
        {"moderation": "unsure"},
        {"visibility": "ppv"},
        {"price_amount": 500, "price_currency": "USD"},
        {"status": "deleted"},
        {"published_at": None},
        {"status": "withdrawn"},
        {"like_count": -1},
        {"comment_count": -1},
    ],
)
def test_the_database_refuses_what_no_service_writes(public_post, columns):
    with pytest.raises(IntegrityError), transaction.atomic():
        Post.objects.filter(pk=public_post.pk).update(**columns)
