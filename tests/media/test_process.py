"""A file is made fit to be shown: once, whoever works on it and whatever fails."""

from base64 import b64encode
from datetime import timedelta
from threading import Barrier, Thread
from unittest.mock import call, patch

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection
from django.utils import timezone

from eventbus.testing import deliver, published
from media import storage
from media.events import MediaDeleted, MediaProcessed, MediaUploaded, ProcessingFailure, ProcessingStatus
from media.images import render as real_render
from media.models.assets import MediaAsset
from media.models.variants import MediaVariant
from media.selectors import media_due_for_work
from media.services.processing import begin_processing, retry_failed
from media.services.removal import delete_media, remove_files
from media.tasks import EXPIRES_SECONDS, PATIENCE, process_uploaded
from tests.media.factories import jpeg, process, processed, scanning, upload

pytestmark = pytest.mark.django_db

Status = MediaAsset.Status
ENQUEUE = "media.tasks.process_media.delay"


def test_a_new_file_goes_to_the_workers_once(django_capture_on_commit_callbacks):
    asset = upload()
    [event] = published(MediaUploaded)

    with patch(ENQUEUE) as enqueue, django_capture_on_commit_callbacks(execute=True):
        deliver(event, event)
        assert begin_processing(media_id=asset.pk) is False

    asset.refresh_from_db()
    assert asset.status == Status.SCANNING
    assert enqueue.call_args_list == [call()]


def test_a_good_image_becomes_ready_and_everybody_hears_of_it(stored_files):
    asset = processed(jpeg(1500, 1000))

    [event] = published(MediaProcessed)
    folder = f"{asset.created_at:%Y/%m}/{asset.pk}"
    names = ["blur", "thumb_320", "web_1280", "web_2048"]
    assert asset.status == Status.READY
    assert (asset.width, asset.height, asset.detected_mime) == (1500, 1000, "image/jpeg")
    assert asset.next_attempt_at is None
    assert stored_files() == [f"{folder}/original", *(f"{folder}/variants/{name}" for name in names)]
    assert event.status is ProcessingStatus.READY
    assert event.failure_code is None
    assert event.sequence == asset.sequence == 2
    assert (event.width, event.height, event.detected_mime) == (1500, 1000, "image/jpeg")
    with storage.open_stored(f"{folder}/variants/blur") as blur:
        assert event.placeholder == b64encode(blur.read()).decode()
    assert sorted((variant.name, variant.width, variant.height) for variant in event.variants) == [
        ("blur", 32, 21),
        ("thumb_320", 320, 213),
        ("web_1280", 1280, 853),
        ("web_2048", 1500, 1000),
    ]
    assert {variant.mime for variant in event.variants} == {"image/webp"}
    assert [variant.size_bytes for variant in event.variants] == [
        storage.private_storage.size(f"{folder}/variants/{variant.name}") for variant in event.variants
    ]


def test_processing_again_changes_nothing():
    asset = processed()
    before = MediaAsset.objects.values().get()

    assert process(media_id=asset.pk) is None

    assert MediaAsset.objects.values().get() == before
    assert len(published(MediaProcessed)) == 1


def test_a_file_that_nobody_claimed_yet_is_left_alone():
    asset = upload()

    assert process(media_id=asset.pk) is None

    asset.refresh_from_db()
    assert asset.status == Status.UPLOADED
    assert published(MediaProcessed) == []


def test_an_unfit_image_is_rejected_at_once_and_everybody_hears_why(stored_files):
    content = jpeg(400, 300)

    asset = processed(content[:600])

    [event] = published(MediaProcessed)
    assert asset.status == Status.REJECTED
    assert asset.failure_code == MediaAsset.Failure.CORRUPT
    assert asset.attempts == 1
    assert event.status is ProcessingStatus.REJECTED
    assert event.failure_code is ProcessingFailure.CORRUPT
    assert event.variants == ()
    assert stored_files() == [asset.storage_key]
    assert not MediaVariant.objects.exists()


def test_a_failure_of_ours_is_tried_three_times_and_told_once(
    django_capture_on_commit_callbacks, stored_files, time_machine
):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    asset = scanning()
    waits = []

    with (
        patch("media.services.processing.render", side_effect=MemoryError),
        django_capture_on_commit_callbacks(execute=True),
    ):
        for _ in range(3):
            assert process(media_id=asset.pk) is not None
            assert process(media_id=asset.pk) is None  # not due
            asset.refresh_from_db()
            assert asset.status == Status.FAILED
            waits.append(asset.next_attempt_at and asset.next_attempt_at - timezone.now())
            time_machine.shift(timedelta(hours=1))

    [event] = published(MediaProcessed)
    assert waits == [timedelta(seconds=30), timedelta(seconds=60), None]
    assert event.status is ProcessingStatus.FAILED
    assert event.failure_code is ProcessingFailure.INTERNAL
    assert asset.attempts == 3
    assert stored_files() == [asset.storage_key]
    assert process(media_id=asset.pk) is None


def test_a_second_attempt_may_succeed(time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    asset = scanning()
    with patch("media.services.processing.storage.store", side_effect=OSError("no space left")):
        process(media_id=asset.pk)
    time_machine.shift(timedelta(seconds=30))

    process(media_id=asset.pk)

    asset.refresh_from_db()
    assert asset.status == Status.READY
    assert asset.failure_code is None
    assert [event.sequence for event in published(MediaProcessed)] == [2]


def test_an_image_that_takes_too_long_is_a_timeout():
    asset = scanning()

    with patch("media.services.processing.render", side_effect=SoftTimeLimitExceeded):
        process(media_id=asset.pk)

    asset.refresh_from_db()
    assert (asset.status, asset.failure_code) == (Status.FAILED, MediaAsset.Failure.TIMEOUT)
    assert asset.next_attempt_at is not None


def test_a_file_whose_worker_died_is_taken_up_again(time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    asset = scanning()
    with patch("media.services.processing.render", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        process(media_id=asset.pk)
    assert process(media_id=asset.pk) is None  # its lease still runs
    time_machine.shift(timedelta(minutes=6))

    process(media_id=asset.pk)

    asset.refresh_from_db()
    assert (asset.status, asset.attempts) == (Status.READY, 2)


def test_a_file_that_kills_every_worker_is_given_up(time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    asset = scanning()
    for _ in range(3):
        with patch("media.services.processing.render", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
            process(media_id=asset.pk)
        time_machine.shift(timedelta(minutes=6))

    assert process(media_id=asset.pk) is None

    asset.refresh_from_db()
    [event] = published(MediaProcessed)
    assert (asset.status, asset.attempts, asset.next_attempt_at) == (Status.FAILED, 3, None)
    assert event.failure_code is ProcessingFailure.TIMEOUT


def test_an_attempt_that_outlived_its_lease_says_nothing(time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    asset = scanning()

    def overtaken(content):
        time_machine.shift(timedelta(minutes=6))
        with patch("media.services.processing.render", real_render):
            process(media_id=asset.pk)
        return real_render(content)

    with patch("media.services.processing.render", overtaken):
        assert process(media_id=asset.pk) is None

    asset.refresh_from_db()
    assert (asset.status, asset.attempts) == (Status.READY, 2)
    assert len(published(MediaProcessed)) == 1


def test_a_file_deleted_while_it_is_worked_on_leaves_nothing_and_says_nothing(
    django_capture_on_commit_callbacks, stored_files
):
    asset = scanning()

    def deleted_meanwhile(content):
        delete_media(media_id=asset.pk)
        remove_files(media_id=asset.pk)
        return real_render(content)

    with (
        patch("media.services.processing.render", deleted_meanwhile),
        django_capture_on_commit_callbacks(execute=True),
    ):
        assert process(media_id=asset.pk) is None

    asset.refresh_from_db()
    assert asset.status == Status.DELETED
    assert published(MediaProcessed) == []
    assert [event.sequence for event in published(MediaDeleted)] == [2]
    assert stored_files() == []
    assert not MediaVariant.objects.exists()


def test_the_sweeper_finds_what_waits_too_long_and_only_that(time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    lost = scanning()
    ready = processed()
    upload()
    time_machine.shift(timedelta(seconds=30))
    scanning()

    with patch("media.tasks.process_media.apply_async") as enqueue:
        assert process_uploaded() == 1

    found = media_due_for_work(now=timezone.now() - PATIENCE, kinds=MediaAsset.IMAGES, limit=9)
    assert (ready.status, found) == (Status.READY, [lost.pk])
    assert enqueue.call_args_list == [call(expires=EXPIRES_SECONDS)]


def test_what_failed_for_good_can_be_tried_again_by_hand(time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    asset = scanning()
    with patch("media.services.processing.render", side_effect=MemoryError):
        for _ in range(3):
            process(media_id=asset.pk)
            time_machine.shift(timedelta(hours=1))

    assert retry_failed(media_id=asset.pk) is True
    process(media_id=asset.pk)

    asset.refresh_from_db()
    assert asset.status == Status.READY
    assert [(event.status, event.sequence) for event in published(MediaProcessed)] == [
        (ProcessingStatus.FAILED, 2),
        (ProcessingStatus.READY, 3),
    ]


@pytest.mark.parametrize("make", [upload, scanning, processed])
def test_only_what_failed_for_good_can_be_tried_again(make):
    asset = make()
    before = MediaAsset.objects.values().get()

    assert retry_failed(media_id=asset.pk) is False

    assert MediaAsset.objects.values().get() == before


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_are_one_attempt():
    asset = scanning()
    barrier = Barrier(2, timeout=20)

    def work():
        try:
            barrier.wait()
            process(media_id=asset.pk)
        finally:
            connection.close()

    workers = [Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=30)

    asset.refresh_from_db()
    assert (asset.status, asset.attempts, asset.sequence) == (Status.READY, 1, 2)
    assert len(published(MediaProcessed)) == 1
