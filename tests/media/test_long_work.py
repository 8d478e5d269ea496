"""Long work says how far it is, keeps its lease by that, stops when it is nobody's, and has its limits."""

from datetime import timedelta
from unittest.mock import call, patch

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from config.celery import app
from eventbus.testing import deliver, published
from media import storage
from media.confined import Limits
from media.events import MediaDeleted, MediaProcessed, MediaUploaded, ProcessingFailure
from media.exceptions import OvertakenError, TypeNotAllowedError
from media.models.assets import MediaAsset
from media.services import processing
from media.services.processing import LEASE, Reporter, claim_attempt, work_on
from media.services.removal import delete_media, remove_files
from media.tasks import EXPIRES_SECONDS, process_media, process_uploaded, transcode_media
from tests.media.clip_files import made, mp3, mp4, pattern, wav
from tests.media.factories import jpeg, process, scanning, upload
from tests.media.hostile_files import real_png_bomb

pytestmark = pytest.mark.django_db

Status = MediaAsset.Status
URL = "/api/v1/media"


def test_an_owner_sees_how_far_a_clip_is(client, creator):
    asset = claim_attempt(media_id=scanning(mp4(), kind="video", owner_id=creator.pk).pk)

    Reporter(asset)(37)

    body = client.get(f"{URL}/{asset.pk}").json()
    assert (body["status"], body["progress"], body["duration_ms"]) == ("processing", 37, None)


def test_progress_keeps_the_lease(time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    asset = claim_attempt(media_id=scanning(mp4(), kind="video").pk)
    time_machine.shift(LEASE - timedelta(seconds=1))

    Reporter(asset)(50)

    time_machine.shift(timedelta(seconds=2))
    assert claim_attempt(media_id=asset.pk) is None
    asset.refresh_from_db()
    assert asset.next_attempt_at == timezone.now() + LEASE - timedelta(seconds=2)


def test_progress_is_not_written_down_at_every_step(django_assert_num_queries):
    asset = claim_attempt(media_id=scanning(mp4(), kind="video").pk)
    report = Reporter(asset)

    with django_assert_num_queries(1):
        for percent in range(90):
            report(percent)


def test_progress_never_goes_back(monkeypatch):
    monkeypatch.setattr(processing, "REPORT_SECONDS", 0)
    asset = claim_attempt(media_id=scanning(mp4(), kind="video").pk)
    report = Reporter(asset)

    seen = []
    for step in (lambda: report(40), lambda: report(30), report.still_at_work, lambda: report(50)):
        step()
        asset.refresh_from_db()
        seen.append(asset.progress)

    assert seen == [40, 40, 40, 50]


@pytest.mark.parametrize("slow", ["fetching", "scanning", "storing"])
def test_what_counts_for_no_percent_keeps_the_lease_too(slow, monkeypatch, time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    monkeypatch.setattr(processing, "REPORT_SECONDS", 0)
    monkeypatch.setattr(processing, "CHUNK", 1 << 10)
    asset = claim_attempt(media_id=scanning(mp4(), kind="video").pk)
    taken = []

    def lasting(stage, work):
        """The work as it is, but that much of it is done for most of a lease, and then somebody asks for the file."""

        def late(*args, **kwargs):
            if slow == stage and not isinstance(args[-1], bytes):  # which are the few of a playlist of playlists
                time_machine.shift(LEASE - timedelta(seconds=1))
                answer = work(*args, **kwargs)
                time_machine.shift(timedelta(seconds=2))
                taken.append(claim_attempt(media_id=asset.pk))
                return answer
            return work(*args, **kwargs)

        return late

    monkeypatch.setattr(processing, "fetch", lasting("fetching", processing.fetch))
    monkeypatch.setattr(processing, "configured_scanner", lambda: Watchful(lasting("scanning", all_of)))
    monkeypatch.setattr(storage, "store", lasting("storing", storage.store))

    work_on(asset)

    asset.refresh_from_db()
    assert set(taken) == {None}
    assert (asset.status, asset.attempts) == (Status.READY, 1)


class Watchful:
    """A scanner that reads everything and finds nothing."""

    def __init__(self, read):
        self._read = read

    def scan(self, stream):
        self._read(stream)
        return MediaAsset.ScanVerdict.CLEAN


def all_of(stream):
    while stream.read(1 << 16):
        pass


def test_an_attempt_whose_lease_went_to_another_stops(time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    asset = claim_attempt(media_id=scanning(mp4(), kind="video").pk)
    time_machine.shift(LEASE)
    other = claim_attempt(media_id=asset.pk)

    with pytest.raises(OvertakenError):
        Reporter(asset)(10)

    other.refresh_from_db()
    assert (other.attempts, other.progress) == (2, 0)


def test_a_clip_deleted_while_it_is_encoded_leaves_nothing_and_says_nothing(
    django_capture_on_commit_callbacks, stored_files
):
    asset = scanning(mp4(), kind="video")

    def deleted_meanwhile(reporter, percent):
        delete_media(media_id=asset.pk)
        remove_files(media_id=asset.pk)
        raise OvertakenError

    with patch.object(Reporter, "__call__", deleted_meanwhile), django_capture_on_commit_callbacks(execute=True):
        assert process(media_id=asset.pk) is None

    assert published(MediaProcessed) == []
    assert [event.sequence for event in published(MediaDeleted)] == [2]
    assert stored_files() == []


def test_a_clip_whose_worker_died_is_taken_up_again(time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    asset = scanning(wav(), kind="audio")
    with (
        patch("media.services.processing.make_clips", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        process(media_id=asset.pk)
    time_machine.shift(LEASE)

    process(media_id=asset.pk)

    asset.refresh_from_db()
    assert (asset.status, asset.attempts, asset.progress) == (Status.READY, 2, 100)


@pytest.mark.parametrize(
    ("kind", "content", "task"),
    [("image", jpeg, process_media), ("video", mp4, transcode_media), ("audio", mp3, transcode_media)],
)
def test_clips_wait_in_a_queue_of_their_own(kind, content, task, django_capture_on_commit_callbacks, time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    upload(content(), kind=kind)
    [event] = published(MediaUploaded)

    with patch.object(task, "delay") as queued, django_capture_on_commit_callbacks(execute=True):
        deliver(event)
    time_machine.shift(timedelta(minutes=1))
    with patch.object(task, "apply_async") as queued_again:
        assert process_uploaded() == 1

    assert queued.call_args_list == [call()]
    assert queued_again.call_args_list == [call(expires=EXPIRES_SECONDS)]


def test_a_worker_that_is_told_nothing_takes_from_every_queue():
    routes = {
        task.name: app.amqp.router.route({}, task.name)["queue"].name for task in (process_media, transcode_media)
    }

    assert routes == {"media.tasks.process_media": "media", "media.tasks.transcode_media": "transcoding"}
    assert set(app.amqp.queues.consume_from) == {app.conf.task_default_queue, *routes.values()}


@pytest.mark.parametrize(("kind", "content"), [("video", wav), ("audio", jpeg), ("image", mp4), ("text", mp4)])
def test_a_file_is_taken_only_as_what_it_is(kind, content):
    with pytest.raises(TypeNotAllowedError):
        upload(content(), kind=kind)

    assert not MediaAsset.objects.exists()


def test_an_image_that_takes_too_much_memory_is_rejected(settings, stored_files):
    settings.MEDIA_IMAGE_MEMORY_BYTES = 64 * 1024 * 1024
    asset = scanning(real_png_bomb())

    process(media_id=asset.pk)

    [event] = published(MediaProcessed)
    assert event.failure_code is ProcessingFailure.TOO_LARGE
    assert stored_files() == [asset.storage_key]


@pytest.mark.parametrize(
    ("change", "status", "failure"),
    [
        ({"cpu_seconds": 1}, Status.REJECTED, ProcessingFailure.TIMEOUT),
        ({"output_bytes": 100_000}, Status.REJECTED, ProcessingFailure.TOO_LARGE),
        ({"wall_seconds": 0.5}, Status.FAILED, ProcessingFailure.TIMEOUT),
    ],
)
def test_a_clip_that_takes_more_than_a_clip_may_is_ended(change, status, failure):
    content = made("mp4", *pattern(640, 480, "30"), "-t", "40", "-c:v", "libx264", "-preset", "ultrafast")
    asset = scanning(content, kind="video")
    limits = {"cpu_seconds": 60, "wall_seconds": 120.0, "memory_bytes": 3 << 30, "output_bytes": 100 << 20, **change}

    with patch("media.clips.conf.clip_limits", lambda seconds=0.0: Limits(**limits)):
        process(media_id=asset.pk)

    asset.refresh_from_db()
    assert (asset.status, asset.failure_code) == (status, failure)


def test_a_clip_larger_than_one_may_be_is_rejected(settings):
    asset = scanning(mp4(), kind="video")
    settings.MEDIA_MAX_VIDEO_BYTES = 1000

    process(media_id=asset.pk)

    [event] = published(MediaProcessed)
    assert event.failure_code is ProcessingFailure.TOO_LARGE


def test_staff_recognises_a_clip_by_its_poster(creator):
    User.objects.filter(pk=creator.pk).update(is_staff=True, is_superuser=True)
    asset = scanning(mp4(), kind="video")
    process(media_id=asset.pk)
    browser = Client()
    browser.force_login(User.objects.get(pk=creator.pk))

    response = browser.get(reverse("admin:media_asset_thumbnail", args=[asset.pk]))

    assert (response.status_code, b"".join(response.streaming_content)[8:12]) == (200, b"WEBP")
