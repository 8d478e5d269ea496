"""A file is made fit to be shown: claimed under lock, worked on without one, recorded under lock."""

import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from celery.exceptions import SoftTimeLimitExceeded
from django.db import transaction
from django.utils import timezone

from eventbus.exceptions import NotYetError
from eventbus.outbox import publish
from media import conf, storage
from media.events import MediaProcessed
from media.exceptions import UnfitImageError
from media.images import VARIANT_MIME, Rendered, render
from media.models import MediaAsset, MediaVariant

LEASE = timedelta(minutes=5)  # twice the hard time limit of an attempt: whoever claimed the file is dead by then
BACKOFF = timedelta(seconds=30)

Status = MediaAsset.Status
Failure = MediaAsset.Failure

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended: with variants, with the file's own fault, or with a failure of ours."""

    status: MediaAsset.Status
    failure: MediaAsset.Failure | None = None
    rendered: Rendered | None = None


@transaction.atomic
def begin_processing(*, media_id: UUID) -> bool:
    """Hand a new file to the workers; False when that happened before."""
    now = timezone.now()
    begun = MediaAsset.objects.filter(pk=media_id, status=Status.UPLOADED).update(
        status=Status.SCANNING, next_attempt_at=now, updated_at=now
    )
    if not begun and not MediaAsset.objects.filter(pk=media_id).exists():
        raise NotYetError(f"media {media_id} is not known")
    return bool(begun)


def process(*, media_id: UUID) -> MediaAsset | None:
    """Make one attempt at a file that is due: read it, draw its variants, record how it went."""
    asset = claim_attempt(media_id=media_id)
    if asset is None:
        return None
    started = time.monotonic()
    outcome = attempt(asset)
    processing_ms = round((time.monotonic() - started) * 1000)
    return record_outcome(
        media_id=asset.pk, attempt_number=asset.attempts, outcome=outcome, processing_ms=processing_ms
    )


@transaction.atomic
def claim_attempt(*, media_id: UUID) -> MediaAsset | None:
    """Take a due file for one attempt; None when it is not due, was taken by somebody else, or has had its attempts."""
    now = timezone.now()
    asset = MediaAsset.objects.due(now).select_for_update(skip_locked=True).filter(pk=media_id).first()
    if asset is None:
        return None
    if asset.attempts >= MediaAsset.MAX_ATTEMPTS:  # the workers that had it died without a word
        end(asset, Outcome(Status.FAILED, Failure.TIMEOUT), processing_ms=0)
        return None
    asset.status = Status.PROCESSING
    asset.attempts += 1
    asset.failure_code = None
    asset.next_attempt_at = now + LEASE
    asset.save(update_fields=[*MediaAsset.ATTEMPT_FIELDS, "failure_code"])
    return asset


def attempt(asset: MediaAsset) -> Outcome:
    """Read, draw and store, outside any transaction; never raises for what can go wrong with a file or a disk."""
    try:
        with storage.open_stored(asset.storage_key) as stream:
            content = stream.read(conf.max_image_bytes() + 1)
        if len(content) > conf.max_image_bytes():
            return Outcome(Status.REJECTED, Failure.TOO_LARGE)
        rendered = render(content)
        for rendition in rendered.renditions:
            storage.store(asset.variant_key(rendition.name), rendition.content)
    except UnfitImageError as error:
        logger.info("media %s is rejected: %s (%s)", asset.pk, error.failure, error)
        return Outcome(Status.REJECTED, error.failure)
    except SoftTimeLimitExceeded:
        logger.warning("attempt %s at media %s took too long", asset.attempts, asset.pk)
        return Outcome(Status.FAILED, Failure.TIMEOUT)
    except Exception:  # a disk, memory, a decoder's surprise: worth another attempt
        logger.exception("attempt %s at media %s failed", asset.attempts, asset.pk)
        return Outcome(Status.FAILED, Failure.INTERNAL)
    return Outcome(Status.READY, rendered=rendered)


@transaction.atomic
def record_outcome(*, media_id: UUID, attempt_number: int, outcome: Outcome, processing_ms: int) -> MediaAsset | None:
    """Write down how an attempt ended, unless the file was deleted or given to somebody else meanwhile."""
    asset = MediaAsset.objects.select_for_update().get(pk=media_id)
    if asset.is_deleted:
        transaction.on_commit(lambda: storage.remove_folder(asset.folder))
        return None
    if asset.status != Status.PROCESSING or asset.attempts != attempt_number:
        logger.warning("attempt %s at media %s ended after its lease", attempt_number, media_id)
        return None
    if outcome.status == Status.FAILED and asset.attempts < MediaAsset.MAX_ATTEMPTS:
        return retry_later(asset, outcome)
    return end(asset, outcome, processing_ms=processing_ms)


def retry_later(asset: MediaAsset, outcome: Outcome) -> MediaAsset:
    """Leave a failed file to the next attempt, each wait longer than the one before."""
    asset.status = Status.FAILED
    asset.failure_code = outcome.failure
    asset.next_attempt_at = timezone.now() + BACKOFF * 2 ** (asset.attempts - 1)
    asset.save(update_fields=[*MediaAsset.ATTEMPT_FIELDS, "failure_code"])
    return asset


def end(asset: MediaAsset, outcome: Outcome, *, processing_ms: int) -> MediaAsset:
    """The file's story in the workshop ends, and everybody hears how."""
    rendered = outcome.rendered
    asset.status = outcome.status
    asset.failure_code = outcome.failure
    asset.next_attempt_at = None
    asset.sequence += 1
    if rendered is None:
        transaction.on_commit(lambda: storage.remove_folder(f"{asset.folder}/variants"))
    else:
        asset.detected_mime, asset.width, asset.height = rendered.detected_mime, rendered.width, rendered.height
    asset.save(update_fields=MediaAsset.OUTCOME_FIELDS)
    variants = replace_variants(asset, rendered) if rendered else []
    publish(MediaProcessed.of(asset, variants=variants, processing_ms=processing_ms, processed_at=timezone.now()))
    return asset


def replace_variants(asset: MediaAsset, rendered: Rendered) -> list[MediaVariant]:
    """The rows of what was drawn."""
    asset.variants.all().delete()
    return MediaVariant.objects.bulk_create(
        MediaVariant(
            asset=asset,
            name=rendition.name,
            mime=VARIANT_MIME,
            storage_key=asset.variant_key(rendition.name),
            width=rendition.width,
            height=rendition.height,
            size_bytes=len(rendition.content),
        )
        for rendition in rendered.renditions
    )


@transaction.atomic
def retry_failed(*, media_id: UUID) -> bool:
    """Give a file that failed for good three more attempts; False when it is in another state."""
    asset = MediaAsset.objects.select_for_update().get(pk=media_id)
    if asset.status != Status.FAILED or asset.next_attempt_at is not None:
        return False
    asset.attempts = 0
    asset.next_attempt_at = timezone.now()
    asset.save(update_fields=MediaAsset.ATTEMPT_FIELDS)
    return True
