"""Work behind the requests: make files fit to be shown, take away what nobody needs.

Every task finds its work in the database, so one that was never queued, or died, is caught up by the next round.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from celery import shared_task
from django.utils import timezone

from api.background import after_commit
from media.models.assets import MediaAsset
from media.selectors import (
    media_due_for_collection,
    media_due_for_work,
    media_in_turn,
    media_with_files_left,
    uploads_overdue,
)
from media.services.processing import process_in_turn
from media.services.removal import collect_orphan, drop_stray_parts, expire_upload, remove_files, sweep_strays
from media.services.verification import BEFORE_ALL, verify_next

BATCH = 100
SOFT_LIMIT_SECONDS = 120  # a 40-megapixel image takes some seconds
HARD_LIMIT_SECONDS = 150
CLIP_SOFT_LIMIT_SECONDS = 12 * 3600  # four hours of video; each run of ffmpeg has limits of its own, by its length
CLIP_HARD_LIMIT_SECONDS = CLIP_SOFT_LIMIT_SECONDS + 60
PATIENCE = timedelta(seconds=30)  # a message that is not lost is usually there by then
COLLECT_SECONDS = 120.0  # what is left then is found again by the next round
EXPIRES_SECONDS = 60  # later rounds ask for these turns again; without an end they would pile up behind slow workers

logger = logging.getLogger(__name__)


@shared_task(soft_time_limit=SOFT_LIMIT_SECONDS, time_limit=HARD_LIMIT_SECONDS)
def process_media() -> None:
    """One attempt at an image: each message is a turn, and the turn is that of the owner who waited longest."""
    take_turn(kinds=MediaAsset.IMAGES, task=process_media)


@shared_task(soft_time_limit=CLIP_SOFT_LIMIT_SECONDS, time_limit=CLIP_HARD_LIMIT_SECONDS)
def transcode_media() -> None:
    """The same for a video or a recording; it waits in a queue of its own, so that images never wait for it."""
    take_turn(kinds=MediaAsset.CLIPS, task=transcode_media)


TURNS: tuple[tuple[Collection[str], Any], ...] = (
    (MediaAsset.IMAGES, process_media),
    (MediaAsset.CLIPS, transcode_media),
)


def take_turn(*, kinds: Collection[str], task: Any) -> None:
    """Make one attempt, and ask for a next one, which may have waited for this one's end and lost its message."""
    if process_in_turn(kinds=kinds) is not None and media_in_turn(kinds=kinds) is not None:
        task.delay()


@shared_task
def process_uploaded() -> int:
    """Queue a turn for each file that waits: a lost message, an attempt to be made again, a worker that died."""
    queued = 0
    for kinds, task in TURNS:
        for _ in media_due_for_work(now=timezone.now() - PATIENCE, kinds=kinds, limit=BATCH):
            task.apply_async(expires=EXPIRES_SECONDS)
            queued += 1
    return queued


@shared_task
def collect_garbage() -> int:
    """Delete a batch of the files that nobody needs, and remove the bytes of the deleted ones."""
    end = time.monotonic() + COLLECT_SECONDS
    collected = on_each(media_due_for_collection(now=timezone.now(), limit=BATCH), collect_orphan, end=end)
    on_each(media_with_files_left(limit=BATCH), remove_files, end=end)
    return collected


def on_each(media_ids: Iterable[UUID], work: Callable[..., object], *, end: float) -> int:
    """Work on each file until the time is over and say of how many something came.

    One that fails is logged and holds up no other: it would be the first of every round, and no round would end.
    """
    done = 0
    for media_id in media_ids:
        if time.monotonic() > end:
            break
        try:
            done += work(media_id=media_id) is not None
        except Exception:
            logger.exception("media %s could not be collected", media_id)
    return done


@shared_task
def expire_uploads() -> int:
    """Give up a batch of announced files that were not brought in time; the collector removes what there is of them."""
    return sum(
        expire_upload(media_id=media_id) is not None for media_id in uploads_overdue(now=timezone.now(), limit=BATCH)
    )


@shared_task
def remove_deleted_files(media_id: str) -> None:
    """The bytes of one deleted file."""
    remove_files(media_id=UUID(media_id))


@shared_task
def sweep_stray_files() -> int:
    """Stored folders that no living file owns, and parts that no awaited file waits for."""
    now = timezone.now()
    return drop_stray_parts(now=now) + sweep_strays(now=now)


@shared_task
def verify_stored_files(after: str = str(BEFORE_ALL)) -> int:
    """Hold the next files against the store and leave the rest to a task of its own; how many lack bytes."""
    report = verify_next(after=UUID(after))
    if report.last is not None:
        verify_stored_files.delay(str(report.last))
    return len(report.lost)


def enqueue_processing(kind: str) -> None:
    """Queue a turn for files of this kind once the transaction stands."""
    [task] = [task for kinds, task in TURNS if kind in kinds]
    after_commit(task.delay)


def enqueue_removal(media_id: UUID) -> None:
    """Queue the removal of a deleted file's bytes once the transaction stands."""
    after_commit(lambda: remove_deleted_files.delay(str(media_id)))


def enqueue_collection() -> None:
    """Queue a round of the collector once the transaction stands."""
    after_commit(collect_garbage.delay)
