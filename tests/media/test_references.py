"""Posts say which files they need, in whatever order their words arrive."""

from datetime import timedelta
from itertools import permutations
from unittest.mock import patch

import pytest
from django.utils import timezone
from uuid_utils.compat import uuid7

from content.events import DeletionReason
from eventbus.testing import deliver, published
from media.events import MediaDeleted
from media.models.assets import MediaAsset
from media.models.references import MediaReference, PostRefState
from tests.media.factories import post_created, post_deleted, post_updated, upload

pytestmark = pytest.mark.django_db

Reason = MediaAsset.DeletionReason
NOW = "2026-05-01T12:00:00Z"
A_DAY, SEVEN_DAYS = timedelta(days=1), timedelta(days=7)


@pytest.fixture(autouse=True)
def frozen(time_machine):
    time_machine.move_to(NOW, tick=False)


def needed() -> set:
    return set(MediaReference.objects.values_list("media_id", flat=True))


def orphaned(asset):
    asset.refresh_from_db()
    return asset.deletion_reason and (asset.deletion_reason, asset.collect_after - timezone.now())


def test_a_new_file_may_wait_a_day_for_its_first_post():
    assert orphaned(upload()) == (Reason.ORPHANED, A_DAY)


def test_a_post_keeps_the_files_it_needs():
    asset, other = upload(), upload()

    deliver(post_created(uuid7(), [asset]), to="media")

    assert needed() == {asset.pk}
    assert orphaned(asset) is None
    assert orphaned(other) == (Reason.ORPHANED, A_DAY)


def test_an_updated_post_needs_what_it_says_now():
    old, kept, new, post_id = upload(), upload(), upload(), uuid7()

    deliver(post_created(post_id, [old, kept]), post_updated(post_id, [kept, new], sequence=2), to="media")

    assert needed() == {kept.pk, new.pk}
    assert orphaned(old) == (Reason.ORPHANED, SEVEN_DAYS)
    assert (orphaned(kept), orphaned(new)) == (None, None)


def test_a_deleted_post_lets_go_of_its_files():
    asset, post_id = upload(), uuid7()

    deliver(post_created(post_id, [asset]), post_deleted(post_id, [asset]), to="media")

    assert needed() == set()
    assert orphaned(asset) == (Reason.POST_DELETED, SEVEN_DAYS)
    assert published(MediaDeleted) == []


def test_the_grace_is_a_setting(settings):
    settings.MEDIA_ORPHAN_GRACE_SECONDS = 0
    asset, post_id = upload(), uuid7()

    deliver(post_created(post_id, [asset]), post_deleted(post_id, [asset]), to="media")

    assert orphaned(asset) == (Reason.POST_DELETED, timedelta(0))


def test_buyers_keep_what_they_paid_for():
    sold, preview, post_id = upload(), upload(), uuid7()

    deliver(post_created(post_id, [sold, preview]), post_deleted(post_id, [sold, preview], retained=[sold]), to="media")

    assert needed() == {sold.pk}
    assert orphaned(sold) is None
    assert orphaned(preview) == (Reason.POST_DELETED, SEVEN_DAYS)


@pytest.mark.parametrize("reason", [DeletionReason.POLICY, DeletionReason.LEGAL])
def test_policy_and_law_leave_nothing_and_at_once(reason):
    asset, post_id = upload(), uuid7()

    deliver(post_created(post_id, [asset]), post_deleted(post_id, [asset], retained=[asset], reason=reason), to="media")

    assert needed() == set()
    assert orphaned(asset) == (Reason.POLICY, timedelta(0))


def test_a_closed_account_is_named_as_the_reason():
    asset, post_id = upload(), uuid7()

    deliver(post_deleted(post_id, [asset], reason=DeletionReason.ACCOUNT_CLOSED), to="media")

    assert orphaned(asset) == (Reason.ACCOUNT_CLOSED, SEVEN_DAYS)


def test_a_reason_from_the_future_is_an_ordinary_deletion():
    asset, post_id = upload(), uuid7()

    deliver(post_deleted(post_id, [asset], retained=[], reason=DeletionReason("astrology")), to="media")

    assert orphaned(asset) == (Reason.POST_DELETED, SEVEN_DAYS)


@pytest.mark.parametrize("reason", [DeletionReason.OWNER_REQUEST, DeletionReason.POLICY])
def test_a_file_of_two_posts_survives_the_end_of_one(reason):
    asset, first, second = upload(), uuid7(), uuid7()

    deliver(
        post_created(first, [asset]),
        post_created(second, [asset]),
        post_deleted(first, [asset], reason=reason),
        to="media",
    )

    assert list(MediaReference.objects.values_list("post_id", flat=True)) == [second]
    assert orphaned(asset) is None


def test_a_file_that_was_let_go_of_is_kept_when_a_post_needs_it_again():
    asset, post_id = upload(), uuid7()

    deliver(
        post_created(post_id, [asset]),
        post_updated(post_id, [], sequence=2),
        post_updated(post_id, [asset], sequence=3),
        to="media",
    )

    assert needed() == {asset.pk}
    assert orphaned(asset) is None


def test_the_same_words_again_change_nothing():
    asset, post_id = upload(), uuid7()
    words = [post_created(post_id, [asset]), post_deleted(post_id, [asset])]
    deliver(*words, to="media")
    before = MediaAsset.objects.values().get()

    deliver(*words, to="media")
    deliver(post_created(post_id, [asset]), post_deleted(post_id, [asset], sequence=9), to="media")

    assert MediaAsset.objects.values().get() == before
    assert needed() == set()


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_every_order_ends_the_same(order):
    sold, dropped, late, post_id = upload(), upload(), upload(), uuid7()
    words = [
        post_created(post_id, [sold, dropped], sequence=1),
        post_updated(post_id, [sold, dropped, late], sequence=2),
        post_updated(post_id, [sold, late], sequence=3),
        post_deleted(post_id, [sold, dropped, late], sequence=4, retained=[sold]),
    ]

    deliver(*(words[number] for number in order), to="media")

    assert needed() == {sold.pk}
    assert orphaned(sold) is None
    assert orphaned(late) == (Reason.POST_DELETED, SEVEN_DAYS)
    assert orphaned(dropped) is not None
    assert list(PostRefState.objects.values_list("source_sequence", "deleted")) == [(4, True)]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_newest_word_holds_whenever_it_comes(order):
    first, second, third, post_id = upload(), upload(), upload(), uuid7()
    words = [
        post_created(post_id, [first], sequence=1),
        post_updated(post_id, [first, second], sequence=2),
        post_updated(post_id, [second, third], sequence=3),
    ]

    deliver(*(words[number] for number in order), to="media")

    assert needed() == {second.pk, third.pk}
    assert orphaned(first) is not None
    assert (orphaned(second), orphaned(third)) == (None, None)


def test_a_file_that_is_not_known_here_is_noted_all_the_same():
    stranger = uuid7()

    deliver(post_created(uuid7(), [stranger]), to="media")

    assert needed() == {stranger}


def test_a_deleted_post_calls_the_collector(django_capture_on_commit_callbacks):
    with patch("media.tasks.collect_garbage.delay") as collect, django_capture_on_commit_callbacks(execute=True):
        deliver(post_deleted(uuid7(), []), to="media")

    assert collect.call_count == 1
