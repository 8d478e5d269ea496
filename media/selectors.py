"""What may be read of files, and by whom."""

from collections.abc import Collection
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from django.db.models import Count, Max, Min, OuterRef, Subquery
from django.db.models.functions import Greatest
from django.utils import timezone

from media import conf
from media.models.assets import MediaAsset, MediaAssetQuerySet
from media.models.variants import MediaVariant
from media.models.verifications import StoreVerification


class MediaFigures(TypedDict):
    """Counts of files and ages in seconds."""

    due: int
    due_oldest_age_seconds: float
    at_work: int
    lost: int
    lost_oldest_age_seconds: float
    last_look_at: datetime | None
    unverified_seconds: float


def media_of(owner_id: UUID) -> MediaAssetQuerySet:
    """An owner's files with their variants."""
    return MediaAsset.objects.of(owner_id).prefetch_related("variants")


def announced_bytes(*, media_id: UUID) -> int:
    """How many bytes the file may have that is awaited under this id; none when nothing is awaited."""
    awaited = MediaAsset.objects.filter(pk=media_id, status=MediaAsset.Status.PENDING_UPLOAD)
    return awaited.values_list("size_bytes", flat=True).first() or 0


def variant_to_deliver(*, media_id: UUID, name: str) -> MediaVariant | None:
    """A variant whose file may be shown now; originals are no variants, so there is none for them."""
    return MediaVariant.objects.filter(asset_id=media_id, name=name, asset__status=MediaAsset.Status.READY).first()


def picture_to_deliver(*, media_id: UUID) -> MediaVariant | None:
    """The smallest variant by which a file is recognised; None when nothing of it may be shown."""
    ready = MediaVariant.objects.filter(asset_id=media_id, asset__status=MediaAsset.Status.READY)
    return ready.filter(name__in=MediaVariant.RECOGNISABLE).first()


def media_due_for_work(*, now: datetime, kinds: Collection[str], limit: int) -> list[UUID]:
    """Files of these kinds that a worker may take up, the longest waiting first."""
    due = MediaAsset.objects.claimable(now, kinds=kinds, share=conf.max_at_work())
    return list(due.order_by("next_attempt_at").values_list("pk", flat=True)[:limit])


def media_in_turn(*, kinds: Collection[str]) -> UUID | None:
    """The file that a worker is to take up next, for the owners are served in turn; None when none may be."""
    due = MediaAsset.objects.claimable(timezone.now(), kinds=kinds, share=conf.max_at_work())
    first_of_each_owner = due.order_by("owner_id", "next_attempt_at", "pk").distinct("owner_id").values("pk")
    begun = MediaAsset.objects.filter(owner_id=OuterRef("owner_id"), kind__in=kinds, last_attempt_at__isnull=False)
    last_turn = Subquery(begun.order_by("-last_attempt_at").values("last_attempt_at")[:1])
    in_turn = MediaAsset.objects.filter(pk__in=first_of_each_owner).order_by(
        Greatest("next_attempt_at", last_turn), "next_attempt_at", "pk"
    )
    return in_turn.values_list("pk", flat=True).first()


def media_figures(*, now: datetime) -> MediaFigures:
    """What operators watch: files due for the workers and at work, and files that lack bytes, with the longest ages.

    What is lost is as of the last whole look; `unverified_seconds` count from its end, or from the first file if no
    look has ended.
    """
    due = MediaAsset.objects.due(now).aggregate(files=Count("pk"), first=Min("next_attempt_at"))
    marked = MediaAsset.objects.brought().filter(files_missing_since__isnull=False)
    lost = marked.aggregate(files=Count("pk"), first=Min("files_missing_since"))
    last_look = StoreVerification.objects.aggregate(at=Max("ended_at"))["at"]
    verified = last_look or MediaAsset.objects.brought().aggregate(at=Min("created_at"))["at"] or now
    return {
        "due": due["files"],
        "due_oldest_age_seconds": (now - (due["first"] or now)).total_seconds(),
        "at_work": MediaAsset.objects.at_work(now).count(),
        "lost": lost["files"],
        "lost_oldest_age_seconds": (now - (lost["first"] or now)).total_seconds(),
        "last_look_at": last_look,
        "unverified_seconds": (now - verified).total_seconds(),
    }


def media_due_for_collection(*, now: datetime, limit: int) -> list[UUID]:
    """Files that no post has needed for long enough."""
    return list(MediaAsset.objects.collectable(now).order_by("collect_after").values_list("pk", flat=True)[:limit])


def media_with_files_left(*, limit: int) -> list[UUID]:
    """Files that are gone and whose bytes may still be in the store."""
    return list(MediaAsset.objects.with_files_left().order_by("deleted_at").values_list("pk", flat=True)[:limit])


def uploads_overdue(*, now: datetime, limit: int) -> list[UUID]:
    """Announced files that were not brought in time."""
    return list(MediaAsset.objects.overdue(now).order_by("upload_expires_at").values_list("pk", flat=True)[:limit])
