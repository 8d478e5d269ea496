"""How a post comes to be and how its creator changes it."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.shortcuts import get_object_or_404
from django.utils import timezone

from api.concurrency import require_version
from content.events import PostCreated, PostUpdated
from content.exceptions import PublishTimeError
from content.models.posts import Post, PostMedia
from content.models.projections import MediaRef
from content.services import composition
from content.services.composition import Audience, PostFields
from eventbus.outbox import publish

LONGEST_WAIT = timedelta(days=366)
NOBODY = Audience(visibility=Post.Visibility.PUBLIC, price=None, tier_ids=[])


@transaction.atomic
def create_post(
    *, creator_id: UUID, fields: PostFields, status: str = Post.Status.DRAFT, publish_at: datetime | None = None
) -> Post:
    """Write a new post: a draft, out at once, or to come out at a time; with files in processing it waits for them."""
    media_ids = fields.get("media_ids", ())
    media = composition.require_media(creator_id, media_ids, composition.lock_media(media_ids))
    audience = composition.wanted_audience(fields, current=NOBODY, creator_id=creator_id)
    now = timezone.now()
    post = Post(creator_id=creator_id, created_at=now, updated_at=now, content_type=composition.type_of(media))
    composition.set_texts(post, fields)
    composition.set_audience(post, audience, current=NOBODY)
    if publish_at is not None:
        require_ahead(publish_at, now)
        post.publish_at = publish_at
    if status == Post.Status.PUBLISHED or publish_at is not None:
        bring_out(post, media)
    post.save(force_insert=True)
    composition.write_tiers(post, audience.tier_ids)
    composition.write_media(post, media, composition.wanted_previews(fields, media, current=()))
    publish(PostCreated.of(post))
    return post


@transaction.atomic
def update_post(*, post_id: UUID, creator_id: UUID, version: int, fields: PostFields) -> Post:
    """Change a post that its creator has seen in this version; without a difference nothing is told."""
    known = composition.lock_media([*media_ids_of(post_id), *fields.get("media_ids", ())])
    post = get_object_or_404(Post.objects.of_creator(creator_id).locked(), pk=post_id)
    require_version(actual=post.version, expected=version)
    previous_status, previous_visibility = post.status, post.visibility
    current, current_media_ids, current_previews = composition.audience_of(post), post.media_ids, post.preview_ids
    media = wanted_media(post, fields, current_ids=current_media_ids, known=known)
    audience = composition.wanted_audience(fields, current=current, creator_id=creator_id)
    changed = composition.set_texts(post, fields) | composition.set_audience(post, audience, current=current)
    previews = composition.wanted_previews(fields, media, current=current_previews)
    if previews != current_previews:
        changed.add("preview_media_ids")
    if [row.pk for row in media] != current_media_ids:
        changed.add("media_ids")
        post.content_type = composition.type_of(media)
    if post.status in Post.OUT:
        composition.require_ready(media)
        composition.require_content(body=post.body, media=media)
    if not changed:
        return post
    if post.status in Post.COMING:
        bring_out(post, media)
    if "allowed_tier_ids" in changed:
        composition.write_tiers(post, audience.tier_ids)
    if changed & {"media_ids", "preview_media_ids"}:
        composition.write_media(post, media, previews)
    return tell(post, changed=changed, previous_status=previous_status, previous_visibility=previous_visibility)


def wanted_media(
    post: Post, fields: PostFields, *, current_ids: list[UUID], known: dict[UUID, MediaRef]
) -> list[MediaRef]:
    """The files the post shall have; those it has already are not questioned again."""
    if "media_ids" in fields:
        return composition.require_media(post.creator_id, fields["media_ids"], known)
    return [known[media_id] for media_id in current_ids]


def media_ids_of(post_id: UUID) -> list[UUID]:
    """The files of a post that is not locked yet."""
    return list(PostMedia.objects.filter(post=post_id).values_list("media_id", flat=True))


def bring_out(post: Post, media: Collection[MediaRef]) -> None:
    """Publish the unsaved post, or let it wait for its files, and then for the time that it names."""
    composition.require_content(body=post.body, media=media)
    now = timezone.now()
    post.hold_reason = None
    if not all(row.is_ready for row in media):
        post.status = Post.Status.AWAITING_MEDIA
    elif post.publish_at is not None and post.publish_at > now:
        post.status = Post.Status.SCHEDULED
    else:
        post.status = Post.Status.PUBLISHED
        post.published_at = post.published_at or now
        post.publish_at = None


def require_ahead(publish_at: datetime, now: datetime) -> None:
    """Refuse a time that is over, or so far away that it must be a slip."""
    if not now < publish_at <= now + LONGEST_WAIT:
        raise PublishTimeError(
            f"publish_at must lie between now and {LONGEST_WAIT.days} days ahead; to publish at once, use publish"
        )


def tell(post: Post, *, changed: set[str], previous_status: str, previous_visibility: str | None = None) -> Post:
    """Save the locked post as its next version and publish what it is now."""
    if post.status != previous_status:
        changed = changed | {"status"}
    post.advance(timezone.now())
    post.save(update_fields=Post.CHANGEABLE)
    publish(
        PostUpdated.of(
            post,
            changed=changed,
            previous_status=previous_status,
            previous_visibility=previous_visibility or post.visibility,
        )
    )
    return post
