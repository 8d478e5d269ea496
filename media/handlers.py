"""How media answers its own uploads and the posts of content."""

from content.events import DeletionReason, PostCreated, PostDeleted, PostUpdated
from eventbus.handlers import handles
from eventbus.rebuild.projections import projection
from media.events import MediaUploaded
from media.models.assets import MediaAsset
from media.models.references import MediaReference, PostRefState
from media.services.processing import begin_processing
from media.services.references import note_post, note_post_deleted
from media.tasks import enqueue_collection, enqueue_processing

REASONS = {
    DeletionReason.POLICY: MediaAsset.DeletionReason.POLICY,
    DeletionReason.LEGAL: MediaAsset.DeletionReason.POLICY,
    DeletionReason.ACCOUNT_CLOSED: MediaAsset.DeletionReason.ACCOUNT_CLOSED,
}
OVERRIDING_RETENTION = (DeletionReason.POLICY, DeletionReason.LEGAL)


@handles(MediaUploaded)
def process_when_uploaded(event: MediaUploaded) -> None:
    """A new file goes to the workers."""
    if begin_processing(media_id=event.media_id):
        enqueue_processing(event.kind.value)


@handles(PostCreated, PostUpdated)
def note_references(event: PostCreated | PostUpdated) -> None:
    """A post says which files it needs."""
    note_post(post_id=event.post_id, sequence=event.sequence, media_ids=event.media_ids)


@handles(PostDeleted)
def release_references(event: PostDeleted) -> None:
    """A deleted post needs nothing but what its buyers keep."""
    note_post_deleted(
        post_id=event.post_id,
        sequence=event.sequence,
        media_ids=event.media_ids,
        retained_media_ids=event.retained_media_ids,
        reason=REASONS.get(event.reason, MediaAsset.DeletionReason.POST_DELETED),
        overrides_retention=event.reason in OVERRIDING_RETENTION,
    )
    enqueue_collection()


# What `manage.py rebuild_projection` can build anew from the journal; files are neither kept nor collected by that.
projection(
    "references",
    MediaReference,
    PostRefState,
    key="post_id",
    fed_by=dict.fromkeys((note_references, release_references), "post_id"),
    begins_with=PostCreated,
)
