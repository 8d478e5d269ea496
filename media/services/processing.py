"""A file is made fit to be shown: claimed under lock, worked on without one, recorded under lock."""

import io
import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from celery.exceptions import SoftTimeLimitExceeded
from django.core.files import File
from django.db import transaction
from django.utils import timezone

from eventbus.exceptions import NotYetError
from eventbus.outbox import publish
from media import conf, storage
from media.clips import make_clips
from media.events import MediaProcessed
from media.exceptions import OverLimitError, OvertakenError, OverTimeError, ScannerError, UnfitMediaError
from media.models.assets import MediaAsset
from media.models.variants import MediaVariant
from media.products import Made
from media.rendering import render
from media.scanning import configured_scanner
from media.selectors import media_in_turn
from media.services.turns import is_over_share, lock_work

LEASE = timedelta(minutes=5)  # twice the hard time limit of an image; an attempt renews it as it gets on
BACKOFF = timedelta(seconds=30)
REPORT_SECONDS = 5.0
CHUNK = 1 << 20

Status = MediaAsset.Status
Failure = MediaAsset.Failure
Verdict = MediaAsset.ScanVerdict

UNCLEAN = {Verdict.INFECTED: Failure.INFECTED, Verdict.TOO_LARGE: Failure.TOO_LARGE}
BEYOND = {"time": Failure.TIMEOUT, "memory": Failure.TOO_LARGE, "output": Failure.TOO_LARGE}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended: variants, the fault of the file, or a failure of ours; and what the scanner said."""

    status: MediaAsset.Status
    failure: MediaAsset.Failure | None = None
    made: Made | None = None
    verdict: MediaAsset.ScanVerdict = Verdict.NONE


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


def process_in_turn(*, kinds: Collection[str]) -> MediaAsset | None:
    """Make one attempt at the file whose turn it is; None when no file of these kinds may be taken up.

    One that somebody else was quicker to take is due no more, so each look finds another.
    """
    while (media_id := media_in_turn(kinds=kinds)) is not None:
        asset = claim_attempt(media_id=media_id)
        if asset is not None:
            work_on(asset)
            return asset
    return None


def work_on(asset: MediaAsset) -> MediaAsset | None:
    """Read a claimed file, draw its variants, record how it went."""
    started = time.monotonic()
    outcome = attempt(asset)
    processing_ms = round((time.monotonic() - started) * 1000)
    return record_outcome(
        media_id=asset.pk, attempt_number=asset.attempts, outcome=outcome, processing_ms=processing_ms
    )


@transaction.atomic
def claim_attempt(*, media_id: UUID) -> MediaAsset | None:
    """Take a due file for one attempt.

    None when it is not due, was taken by somebody else, has had its attempts, or its owner has its share at work.
    """
    owner_id = MediaAsset.objects.filter(pk=media_id).values_list("owner_id", flat=True).first()
    if owner_id is None:
        return None
    lock_work(owner_id=owner_id)
    now = timezone.now()
    asset = MediaAsset.objects.due(now).select_for_update().filter(pk=media_id).first()
    if asset is None or is_over_share(asset, now):
        return None
    if asset.attempts >= MediaAsset.MAX_ATTEMPTS:  # the workers that had it died without a word
        end(asset, Outcome(Status.FAILED, Failure.TIMEOUT), processing_ms=0)
        return None
    asset.status = Status.PROCESSING
    asset.attempts += 1
    asset.progress = 0
    asset.failure_code = None
    asset.last_attempt_at = now
    asset.next_attempt_at = now + LEASE
    asset.save(update_fields=[*MediaAsset.ATTEMPT_FIELDS, "failure_code"])
    return asset


def attempt(asset: MediaAsset) -> Outcome:
    """Read, scan, make and store, outside any transaction; never raises for what can go wrong with a file or a disk."""
    asset.scan_verdict = Verdict.NONE
    try:
        with TemporaryDirectory(prefix="media-") as folder:
            return make_and_store(asset, Path(folder))
    except UnfitMediaError as error:
        logger.info("media %s is rejected: %s (%s)", asset.pk, error.failure, error)
        return Outcome(Status.REJECTED, error.failure, verdict=asset.scan_verdict)
    except OverLimitError as error:
        logger.warning("media %s is rejected: it takes more %s than a file may (%s)", asset.pk, error.limit, error)
        return Outcome(Status.REJECTED, BEYOND[error.limit], verdict=asset.scan_verdict)
    except (SoftTimeLimitExceeded, OverTimeError):
        logger.warning("attempt %s at media %s took too long", asset.attempts, asset.pk)
        return Outcome(Status.FAILED, Failure.TIMEOUT, verdict=asset.scan_verdict)
    except ScannerError:
        logger.exception("attempt %s at media %s: no verdict of the scanner", asset.attempts, asset.pk)
        return Outcome(Status.FAILED, Failure.INTERNAL, verdict=Verdict.ERROR)
    except Exception:  # a disk, memory, a decoder's surprise: worth another attempt
        logger.exception("attempt %s at media %s failed", asset.attempts, asset.pk)
        return Outcome(Status.FAILED, Failure.INTERNAL, verdict=asset.scan_verdict)


def make_and_store(asset: MediaAsset, folder: Path) -> Outcome:
    """Fetch a file, have it scanned, make its variants and store them; raises what `attempt` answers for."""
    report = Reporter(asset)
    source = fetch(asset, folder, report=report)
    with ReportedFile(source, report) as stream:
        asset.scan_verdict = verdict = configured_scanner().scan(stream)  # holds however the attempt goes on
    if verdict in UNCLEAN:
        return Outcome(Status.REJECTED, UNCLEAN[verdict], verdict=verdict)
    if asset.kind == MediaAsset.Kind.IMAGE:
        made = Made.of_image(render(source.read_bytes()))
    else:
        made = make_clips(source, asset.kind, folder=folder, report=report)
    for product in made.products:
        for name, content in product.files.items():
            store_file(asset.variant_key(name), content, report=report)
    return Outcome(Status.READY, made=made, verdict=verdict)


def fetch(asset: MediaAsset, folder: Path, *, report: "Reporter") -> Path:
    """A copy of the original that nobody can write to; raises UnfitMediaError for one that is larger than it may be."""
    source = folder / "source"
    most = conf.max_bytes(asset.kind)
    with storage.open_stored(asset.storage_key) as stream, source.open("wb") as copy:
        while chunk := stream.read(CHUNK):
            if copy.tell() + len(chunk) > most:
                raise UnfitMediaError(Failure.TOO_LARGE, f"more than {most} bytes")
            copy.write(chunk)
            report.still_at_work()
    source.chmod(0o400)
    return source


def store_file(key: str, content: bytes | Path, *, report: "Reporter") -> None:
    """Keep one file of a variant."""
    report.still_at_work()
    if isinstance(content, bytes):
        storage.store(key, content)
        return
    with ReportedFile(content, report) as stream:
        storage.store(key, File(stream))


class Reporter:
    """Writes down how far an attempt is, not too often, and renews its lease by that."""

    def __init__(self, asset: MediaAsset) -> None:
        self._media_id, self._attempt_number = asset.pk, asset.attempts
        self._percent, self._last = 0, time.monotonic()  # as the claim wrote it down

    def __call__(self, percent: int) -> None:
        """So much of a hundred is done, never less than before; raises OvertakenError when nobody waits for it."""
        is_first = not self._percent and percent > 0
        self._percent = max(self._percent, percent)
        if not is_first and time.monotonic() - self._last < REPORT_SECONDS:
            return
        self._last = time.monotonic()
        if not report_progress(media_id=self._media_id, attempt_number=self._attempt_number, percent=self._percent):
            raise OvertakenError

    def still_at_work(self) -> None:
        """Something is done that counts for no percent, as fetching, scanning and storing do."""
        self(self._percent)


class ReportedFile(io.BufferedReader):
    """A file whose every reading says that the attempt is still at work."""

    def __init__(self, path: Path, report: Reporter) -> None:
        super().__init__(io.FileIO(path))
        self._report = report

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes."""
        self._report.still_at_work()
        return super().read(size)


def report_progress(*, media_id: UUID, attempt_number: int, percent: int) -> bool:
    """Note how far an attempt is and give it a whole lease again; False when the file is not its any more."""
    now = timezone.now()
    mine = MediaAsset.objects.filter(pk=media_id, status=Status.PROCESSING, attempts=attempt_number)
    return bool(mine.update(progress=percent, next_attempt_at=now + LEASE, updated_at=now))


@transaction.atomic
def record_outcome(*, media_id: UUID, attempt_number: int, outcome: Outcome, processing_ms: int) -> MediaAsset | None:
    """Write down how an attempt ended, unless the file was deleted or given to somebody else meanwhile."""
    asset = MediaAsset.objects.select_for_update().get(pk=media_id)
    if asset.is_deleted:
        transaction.on_commit(lambda: storage.remove_folder(asset.folder), robust=True)
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
    asset.scan_verdict = outcome.verdict
    asset.next_attempt_at = timezone.now() + BACKOFF * 2 ** (asset.attempts - 1)
    asset.save(update_fields=[*MediaAsset.ATTEMPT_FIELDS, "failure_code", "scan_verdict"])
    return asset


def end(asset: MediaAsset, outcome: Outcome, *, processing_ms: int) -> MediaAsset:
    """The file's story in the workshop ends, and everybody hears how."""
    made = outcome.made
    asset.status = outcome.status
    asset.failure_code = outcome.failure
    asset.scan_verdict = outcome.verdict
    asset.next_attempt_at = None
    asset.sequence += 1
    if made is None:
        transaction.on_commit(lambda: storage.remove_folder(f"{asset.folder}/variants"), robust=True)
    else:
        asset.progress = 100
        asset.detected_mime, asset.duration_ms = made.detected_mime, made.duration_ms
        asset.width, asset.height = made.width, made.height
    asset.save(update_fields=MediaAsset.OUTCOME_FIELDS)
    variants = replace_variants(asset, made) if made else []
    publish(
        MediaProcessed.of(
            asset,
            variants=variants,
            placeholder=made.placeholder if made else None,
            processing_ms=processing_ms,
            processed_at=timezone.now(),
        )
    )
    return asset


def replace_variants(asset: MediaAsset, made: Made) -> list[MediaVariant]:
    """The rows of what was made."""
    asset.variants.all().delete()
    return MediaVariant.objects.bulk_create(
        MediaVariant(
            asset=asset,
            name=product.name,
            mime=product.mime,
            storage_key=asset.variant_key(product.name),
            width=product.width,
            height=product.height,
            duration_ms=product.duration_ms,
            size_bytes=product.size_bytes,
        )
        for product in made.products
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
