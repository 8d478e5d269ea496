"""Which posts need which files, as the posts tell it, in whatever order the telling arrives."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from media import conf
from media.models.assets import MediaAsset
from media.models.references import MediaReference, PostRefState

Reason = MediaAsset.DeletionReason
AT_ONCE = timedelta(0)


@transaction.atomic
def note_post(*, post_id: UUID, sequence: int, media_ids: Iterable[UUID]) -> None:
    """Make a post's references those of its newest known state."""
    state = lock_state(post_id)
    if state.deleted or sequence <= state.source_sequence:
        return
    state.source_sequence = sequence
    state.save(update_fields=["source_sequence"])
    replace_references(
        post_id, needed=set(media_ids), mentioned=set(), reason=Reason.ORPHANED, grace=conf.orphan_grace()
    )


@transaction.atomic
def note_post_deleted(
    *,
    post_id: UUID,
    sequence: int,
    media_ids: Iterable[UUID],
    retained_media_ids: Iterable[UUID],
    reason: MediaAsset.DeletionReason,
    overrides_retention: bool,
) -> None:
    """Let go of a deleted post's files, but for those its buyers keep; policy and law leave nothing, and at once."""
    state = lock_state(post_id)
    if state.deleted:
        return
    state.deleted = True
    state.source_sequence = max(sequence, state.source_sequence)
    state.save(update_fields=["deleted", "source_sequence"])
    replace_references(
        post_id,
        needed=set() if overrides_retention else set(retained_media_ids),
        mentioned=set(media_ids),
        reason=reason,
        grace=AT_ONCE if overrides_retention else conf.orphan_grace(),
    )


def lock_state(post_id: UUID) -> PostRefState:
    """What is known of the post, under its lock; made when nothing is."""
    PostRefState.objects.bulk_create([PostRefState(post_id=post_id)], ignore_conflicts=True)
    return PostRefState.objects.select_for_update().get(pk=post_id)


def replace_references(
    post_id: UUID, *, needed: set[UUID], mentioned: set[UUID], reason: MediaAsset.DeletionReason, grace: timedelta
) -> None:
    """The post needs exactly these; files it no longer needs, or that its end mentions, may have become orphans.

    The files are locked before their references change, so that two posts which let go of a shared file at once cannot
    both believe that the other still needs it, and the collector cannot take a file that is just being referred to.
    """
    known = set(MediaReference.objects.filter(post_id=post_id).values_list("media_id", flat=True))
    released = (known | mentioned) - needed
    assets = MediaAsset.objects.locked(known | needed | mentioned)
    MediaReference.objects.filter(post_id=post_id, media_id__in=known - needed).delete()
    MediaReference.objects.bulk_create(
        [MediaReference(media_id=media_id, post_id=post_id) for media_id in sorted(needed - known)],
        ignore_conflicts=True,
    )
    still_needed = set(MediaReference.objects.filter(media_id__in=released).values_list("media_id", flat=True))
    now = timezone.now()
    for asset in assets:
        if asset.is_deleted:
            continue
        if asset.pk in needed or asset.pk in still_needed:
            adopt(asset)
        else:
            orphan(asset, reason=reason, collect_after=now + grace, now=now)


def adopt(asset: MediaAsset) -> None:
    """Somebody needs the file: it is nobody's orphan."""
    if asset.orphaned_at is None:
        return
    asset.orphaned_at = asset.collect_after = asset.deletion_reason = None
    asset.save(update_fields=MediaAsset.ORPHAN_FIELDS)


def orphan(asset: MediaAsset, *, reason: MediaAsset.DeletionReason, collect_after: datetime, now: datetime) -> None:
    """Nobody needs the file any more: it goes when its time is over."""
    asset.orphaned_at = now
    asset.collect_after = collect_after
    asset.deletion_reason = reason
    asset.save(update_fields=MediaAsset.ORPHAN_FIELDS)
