"""Owners are served in turn and have a share of the workers: nobody waits for somebody else's five hundred files."""

from collections import Counter
from datetime import timedelta
from unittest.mock import patch

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from media.models.assets import MediaAsset
from media.selectors import media_in_turn
from media.services import processing
from media.services.processing import LEASE, claim_attempt, process_in_turn
from media.tasks import process_media, process_uploaded
from tests.media.clip_files import wav
from tests.media.factories import scanning
from tests.races import at_once

pytestmark = pytest.mark.django_db

Status = MediaAsset.Status
NOON = "2026-05-01T12:00:00Z"
MANY, ONE, LATE = uuid7(), uuid7(), uuid7()


def take(kinds=MediaAsset.IMAGES):
    """Claim as a worker does, and leave the file at work."""
    with patch.object(processing, "work_on"):
        return process_in_turn(kinds=kinds)


def owners_taken(count):
    return [asset and asset.owner_id for asset in (take() for _ in range(count))]


@pytest.fixture
def clock(time_machine):
    time_machine.move_to(NOON, tick=False)
    return time_machine


def test_who_brings_one_file_waits_for_one_turn_of_who_brought_many(clock, settings):
    settings.MEDIA_MAX_AT_WORK = 1000
    for _ in range(5):
        scanning(owner_id=MANY)
    clock.shift(1)
    scanning(owner_id=ONE)
    served = []

    for _ in range(6):
        clock.shift(1)
        served += owners_taken(1)

    assert served == [MANY, ONE, MANY, MANY, MANY, MANY]
    assert owners_taken(1) == [None]


def test_new_owners_do_not_push_in_before_one_who_waits(clock, settings):
    settings.MEDIA_MAX_AT_WORK = 2
    scanning(owner_id=ONE)
    scanning(owner_id=ONE)
    clock.shift(1)
    first = owners_taken(1)
    clock.shift(1)
    scanning(owner_id=LATE)

    assert first + owners_taken(2) == [ONE, ONE, LATE]


@pytest.mark.parametrize(
    ("kinds", "index"),
    [(MediaAsset.IMAGES, "media_last_turn_images"), (MediaAsset.CLIPS, "media_last_turn_clips")],
)
def test_an_owner_s_last_turn_is_the_head_of_an_index(kinds, index):
    with CaptureQueriesContext(connection) as asked:
        media_in_turn(kinds=kinds)
    [question] = asked.captured_queries

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # for so few rows it is cheaper
        cursor.execute(f"EXPLAIN {question['sql']}")
        plan = [line for (line,) in cursor.fetchall()]

    [scan] = [place for place, line in enumerate(plan) if f"using {index} " in line]
    assert "Limit" in plan[scan - 1], "every turn of the owner is read, and sorted"


def test_an_owner_has_so_many_at_work_and_the_rest_wait_for_an_end(clock, settings):
    settings.MEDIA_MAX_AT_WORK = 2
    files = [scanning(owner_id=MANY) for _ in range(3)]

    held = [take(), take()]
    refused = (take(), claim_attempt(media_id=files[2].pk), process_uploaded())
    processing.work_on(held[0])

    assert refused == (None, None, 0)
    assert take().pk == files[2].pk
    assert MediaAsset.objects.filter(status=Status.PROCESSING).count() == 2


def test_images_do_not_wait_for_clips_of_the_same_owner(clock, settings):
    settings.MEDIA_MAX_AT_WORK = 1
    clips = [scanning(wav(), owner_id=MANY, kind="audio", declared_mime="audio/wav") for _ in range(2)]
    image = scanning(owner_id=MANY)

    assert take(MediaAsset.CLIPS).pk in [clip.pk for clip in clips]
    assert take(MediaAsset.CLIPS) is None
    assert take(MediaAsset.IMAGES).pk == image.pk


def test_a_share_that_dead_workers_hold_comes_free_with_their_leases(clock, settings):
    settings.MEDIA_MAX_AT_WORK = 1
    held, waiting = scanning(owner_id=MANY), scanning(owner_id=MANY)
    with patch.object(processing, "work_on", side_effect=SystemExit), pytest.raises(SystemExit):
        process_in_turn(kinds=MediaAsset.IMAGES)
    clock.shift(LEASE - timedelta(seconds=1))
    scanning(owner_id=ONE)
    before = owners_taken(2)

    clock.shift(timedelta(seconds=1))
    after = [take(), take()]
    clock.shift(LEASE)
    again = take()

    assert before == [ONE, None]
    assert [asset and (asset.pk, asset.attempts) for asset in after] == [(waiting.pk, 1), None]
    assert (again.pk, again.attempts) == (held.pk, 2)


def test_the_end_of_an_attempt_calls_for_the_file_whose_message_came_too_early(settings):
    settings.MEDIA_MAX_AT_WORK = 1
    first, second = scanning(owner_id=MANY), scanning(owner_id=MANY)
    real_render = processing.render

    def render_while_the_other_message_comes(content):
        process_media()
        return real_render(content)

    with (
        patch("media.tasks.process_media.delay") as enqueue,
        patch.object(processing, "render", render_while_the_other_message_comes),
    ):
        process_media()

    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == (Status.READY, Status.SCANNING)
    enqueue.assert_called_once_with()


@pytest.mark.django_db(transaction=True)
def test_eight_workers_at_once_take_a_share_of_the_many_and_the_one(settings):
    settings.MEDIA_MAX_AT_WORK = 2
    for _ in range(9):
        scanning(owner_id=MANY)
    scanning(owner_id=ONE)

    with patch.object(processing, "work_on"):
        taken = at_once(*[lambda: process_in_turn(kinds=MediaAsset.IMAGES)] * 8)

    assert Counter(asset and asset.owner_id for asset in taken) == {MANY: 2, ONE: 1, None: 5}
    at_work = MediaAsset.objects.filter(status=Status.PROCESSING)
    assert sorted(at_work.values_list("owner_id", "attempts")) == [(MANY, 1), (MANY, 1), (ONE, 1)]


@pytest.mark.django_db(transaction=True)
def test_two_files_of_one_owner_asked_for_by_name_at_once_keep_to_the_share(settings):
    settings.MEDIA_MAX_AT_WORK = 1
    files = [scanning(owner_id=MANY) for _ in range(4)]

    taken = at_once(*[lambda asset=asset: claim_attempt(media_id=asset.pk) for asset in files])

    assert [outcome for outcome in taken if isinstance(outcome, Exception)] == []
    assert len([outcome for outcome in taken if outcome is not None]) == 1
