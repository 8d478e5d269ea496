"""Files go: at their owner's wish, or when nobody needs them any more."""

import os
from contextlib import contextmanager
from datetime import timedelta
from unittest.mock import patch

import pytest
from botocore.exceptions import ClientError
from django.utils import timezone
from uuid_utils.compat import uuid7

from eventbus.testing import deliver, published
from media import storage
from media.events import MediaDeleted, MediaDeletionReason
from media.exceptions import MediaInUseError
from media.models.assets import MediaAsset
from media.models.references import MediaReference
from media.models.variants import MediaVariant
from media.services.removal import delete_media, remove_by_policy, remove_files, sweep_strays
from media.tasks import collect_garbage
from tests.media.factories import jpeg, post_created, post_deleted, processed, upload
from tests.races import succeed_at_once

pytestmark = pytest.mark.django_db

Status = MediaAsset.Status


def test_an_owner_deletes_a_file_and_everybody_hears_of_it(stored_files):
    asset = processed()

    delete_media(media_id=asset.pk)
    remove_files(media_id=asset.pk)

    asset.refresh_from_db()
    [event] = published(MediaDeleted)
    assert asset.status == Status.DELETED
    assert asset.deleted_at is not None
    assert asset.files_removed_at is not None
    assert (event.media_id, event.owner_id, event.sequence) == (asset.pk, asset.owner_id, 3)
    assert event.reason is MediaDeletionReason.OWNER_REQUEST
    assert stored_files() == []
    assert not MediaVariant.objects.exists()


def test_deleting_twice_is_deleting_once():
    asset = processed()
    delete_media(media_id=asset.pk)
    before = MediaAsset.objects.values().get()

    delete_media(media_id=asset.pk)

    assert MediaAsset.objects.values().get() == before
    assert len(published(MediaDeleted)) == 1


def test_a_file_that_a_post_needs_stays(stored_files):
    asset = processed()
    deliver(post_created(uuid7(), [asset]), to="media")
    before = (MediaAsset.objects.values().get(), stored_files())

    with pytest.raises(MediaInUseError):
        delete_media(media_id=asset.pk)

    assert (MediaAsset.objects.values().get(), stored_files()) == before
    assert published(MediaDeleted) == []


def test_a_file_that_breaks_the_rules_goes_whoever_needs_it():
    asset = processed()
    deliver(post_created(uuid7(), [asset]), to="media")

    remove_by_policy(media_id=asset.pk)

    asset.refresh_from_db()
    assert asset.status == Status.DELETED
    assert [event.reason for event in published(MediaDeleted)] == [MediaDeletionReason.POLICY]


def test_the_media_of_a_deleted_post_go_when_their_time_is_over(stored_files, time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    asset, post_id = processed(), uuid7()
    deliver(post_created(post_id, [asset]), post_deleted(post_id, [asset]), to="media")

    time_machine.shift(timedelta(days=7, seconds=-1))
    assert collect_garbage() == 0
    assert len(stored_files()) == 4
    time_machine.shift(timedelta(seconds=1))
    assert collect_garbage() == 1

    assert stored_files() == []
    assert [event.reason for event in published(MediaDeleted)] == [MediaDeletionReason.POST_DELETED]
    assert collect_garbage() == 0


def test_a_file_that_no_post_ever_needed_goes_after_a_day(stored_files, time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    upload()
    kept = upload()
    deliver(post_created(uuid7(), [kept]), to="media")
    time_machine.shift(timedelta(days=400))

    assert collect_garbage() == 1

    assert stored_files() == [kept.storage_key]
    assert [event.reason for event in published(MediaDeleted)] == [MediaDeletionReason.ORPHANED]


def test_a_reference_holds_even_a_file_whose_time_is_over(stored_files, time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    asset = upload()
    MediaReference.objects.create(media_id=asset.pk, post_id=uuid7())
    time_machine.shift(timedelta(days=2))

    assert collect_garbage() == 0

    asset.refresh_from_db()
    assert asset.status == Status.UPLOADED
    assert stored_files() == [asset.storage_key]


def test_bytes_left_behind_by_a_crash_are_removed_by_the_next_round(stored_files):
    asset = processed()
    delete_media(media_id=asset.pk)
    assert len(stored_files()) == 4

    collect_garbage()

    asset.refresh_from_db()
    assert stored_files() == []
    assert asset.files_removed_at is not None


def test_a_file_that_cannot_be_removed_holds_up_no_other(caplog):
    stuck, other = processed(), processed()
    for asset in (stuck, other):
        delete_media(media_id=asset.pk)

    with refusing(stuck.folder):
        collect_garbage()

    stuck.refresh_from_db()
    other.refresh_from_db()
    assert stuck.files_removed_at is None
    assert other.files_removed_at is not None
    assert f"media {stuck.pk} could not be collected" in caplog.text
    collect_garbage()
    stuck.refresh_from_db()
    assert stuck.files_removed_at is not None


def test_a_stray_that_cannot_be_removed_holds_up_no_other(stored_files):
    stuck, other = "2026/01/" + str(uuid7()), "2026/01/" + str(uuid7())
    for folder in (stuck, other):
        storage.store(f"{folder}/original", jpeg())

    with refusing(stuck):
        assert sweep_strays(now=timezone.now() + timedelta(days=2)) == 1

    assert stored_files() == [f"{stuck}/original"]


@contextmanager
def refusing(stuck):
    """The store does not remove this folder."""
    real = storage.remove_folder

    def remove(folder):
        if folder == stuck:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "DeleteObject")
        real(folder)

    with patch.object(storage, "remove_folder", remove):
        yield


def test_removing_twice_and_removing_nothing_are_harmless(stored_files):
    asset, other = processed(), processed()
    delete_media(media_id=asset.pk)

    storage.remove_folder(asset.folder)
    storage.remove_folder(asset.folder)
    remove_files(media_id=asset.pk)
    remove_files(media_id=other.pk)  # it is not deleted

    assert {path.split("/")[2] for path in stored_files()} == {str(other.pk)}


def test_a_file_of_two_posts_is_collected_with_the_second(time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    asset, first, second = upload(), uuid7(), uuid7()
    deliver(post_created(first, [asset]), post_created(second, [asset]), post_deleted(first, [asset]), to="media")
    time_machine.shift(timedelta(days=8))
    assert collect_garbage() == 0

    deliver(post_deleted(second, [asset]), to="media")
    time_machine.shift(timedelta(days=8))

    assert collect_garbage() == 1


def test_strays_are_swept_and_nothing_else(media_root, stored_files):
    alive = processed()
    deleted = upload()
    delete_media(media_id=deleted.pk)
    remove_files(media_id=deleted.pk)
    fresh = storage.original_key(uuid7(), at=timezone.now())
    for key in (deleted.storage_key, storage.original_key(uuid7(), at=timezone.now()), fresh):
        storage.store(key, jpeg())
    for folder in (media_root / alive.folder, media_root / deleted.folder, *media_root.glob("*/*/*")):
        if str(folder.relative_to(media_root)) not in fresh:
            long_ago = (timezone.now() - timedelta(hours=25)).timestamp()
            os.utime(folder, (long_ago, long_ago))

    assert sweep_strays(now=timezone.now()) == 2

    assert {path.rpartition("/")[0].removesuffix("/variants") for path in stored_files()} == {
        alive.folder,
        fresh.rpartition("/")[0],
    }


def test_an_empty_store_has_no_strays():
    assert sweep_strays(now=timezone.now()) == 0


def test_no_key_leads_out_of_the_store(media_root):
    with pytest.raises(Exception, match=r"Detected path traversal|outside of the base path"):
        storage.store("../outside", b"x")

    assert not (media_root.parent / "outside").exists()


def test_the_store_has_no_public_address():
    with pytest.raises(NotImplementedError):
        storage.private_storage.url("anything")


@pytest.mark.django_db(transaction=True)
def test_two_collectors_delete_each_file_once(settings):
    settings.MEDIA_UNUSED_GRACE_SECONDS = 0
    assets = [upload() for _ in range(5)]

    succeed_at_once(collect_garbage, collect_garbage)
    collect_garbage()

    assert sorted(event.media_id for event in published(MediaDeleted)) == sorted(asset.pk for asset in assets)


@pytest.mark.django_db(transaction=True)
def test_two_posts_that_let_go_at_once_leave_an_orphan():
    asset, first, second = upload(), uuid7(), uuid7()
    deliver(post_created(first, [asset]), post_created(second, [asset]), to="media")

    succeed_at_once(
        lambda: deliver(post_deleted(first, [asset]), to="media"),
        lambda: deliver(post_deleted(second, [asset]), to="media"),
    )

    asset.refresh_from_db()
    assert not MediaReference.objects.exists()
    assert asset.deletion_reason == MediaAsset.DeletionReason.POST_DELETED
