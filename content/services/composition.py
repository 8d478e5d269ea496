"""What a post is made of: its texts, its audience, its files."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict
from uuid import UUID

from api.money import Money, require_in_range
from content.exceptions import (
    EmptyPostError,
    MediaNotOwnedError,
    MediaUnusableError,
    PreviewNotInPostError,
    PriceNotAllowedError,
    PriceRequiredError,
    TierArchivedError,
    TierNotOwnedError,
    TiersNotAllowedError,
    TiersRequiredError,
    TierUnknownError,
)
from content.models.posts import Post, PostMedia, PostTier
from content.models.projections import MediaRef, TierRef


class PostFields(TypedDict, total=False):
    """What a creator writes of a post; a field that is left out stays as it is."""

    title: str
    title_is_public: bool
    body: str
    teaser: str
    comments_enabled: bool
    visibility: str
    price: Money | None
    tier_ids: Sequence[UUID]
    media_ids: Sequence[UUID]
    preview_media_ids: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class Audience:
    """Who may read a post, and for what price."""

    visibility: str
    price: Money | None
    tier_ids: list[UUID]


TEXTS = ("title", "title_is_public", "body", "teaser", "comments_enabled")


def audience_of(post: Post) -> Audience:
    """The audience the post has now."""
    price = None
    if post.price_amount is not None and post.price_currency is not None:
        price = Money(amount=post.price_amount, currency=post.price_currency)
    return Audience(visibility=post.visibility, price=price, tier_ids=post.allowed_tier_ids)


def wanted_audience(fields: PostFields, *, current: Audience, creator_id: UUID) -> Audience:
    """The audience the post shall have; price and tiers that a new visibility has no use for fall away."""
    visibility = fields.get("visibility", current.visibility)
    price = fields.get("price", current.price if visibility == Post.Visibility.PPV else None)
    kept = current.tier_ids if visibility in Post.BY_TIER else []
    tier_ids = sorted(set(fields.get("tier_ids", kept)))
    if visibility == Post.Visibility.PPV and price is None:
        raise PriceRequiredError
    if visibility != Post.Visibility.PPV and price is not None:
        raise PriceNotAllowedError
    if visibility == Post.Visibility.TIERS and not tier_ids:
        raise TiersRequiredError
    if visibility not in Post.BY_TIER and tier_ids:
        raise TiersNotAllowedError
    if price is not None and price != current.price:
        require_in_range(amount=price.amount, currency=price.currency)
    require_tiers(creator_id, set(tier_ids) - set(current.tier_ids))
    return Audience(visibility=visibility, price=price, tier_ids=tier_ids)


def require_tiers(creator_id: UUID, tier_ids: Collection[UUID]) -> None:
    """Refuse tiers that the creator cannot choose."""
    if not tier_ids:
        return
    tiers = TierRef.objects.filter(pk__in=tier_ids)
    if len(tiers) < len(tier_ids):
        raise TierUnknownError
    if any(tier.creator_id != creator_id for tier in tiers):
        raise TierNotOwnedError
    if any(tier.status != TierRef.Status.ACTIVE for tier in tiers):
        raise TierArchivedError


def lock_media(media_ids: Iterable[UUID]) -> dict[UUID, MediaRef]:
    """The files by their ids, locked: what is seen of them holds until the post is written.

    Files are locked before posts everywhere, so a post and the end of a file's processing neither miss nor block
    each other.
    """
    rows = MediaRef.objects.filter(pk__in=set(media_ids)).order_by("pk").select_for_update(no_key=True)
    return {row.pk: row for row in rows}


def require_media(creator_id: UUID, media_ids: Sequence[UUID], known: dict[UUID, MediaRef]) -> list[MediaRef]:
    """The files in this order, each the creator's own and usable, if not now then after processing."""
    media = [known[media_id] for media_id in media_ids if media_id in known]
    if len(media) < len(media_ids) or any(row.owner_id != creator_id for row in media):
        raise MediaNotOwnedError
    if any(row.status in MediaRef.UNUSABLE for row in media):
        raise MediaUnusableError
    return media


def require_ready(media: Iterable[MediaRef]) -> None:
    """Refuse files that cannot be shown yet."""
    if not all(row.is_ready for row in media):
        raise MediaUnusableError


def require_content(*, body: str, media: Collection[MediaRef]) -> None:
    """Refuse a post with nothing in it."""
    if not body and not media:
        raise EmptyPostError


def type_of(media: Iterable[MediaRef]) -> str:
    """What a post of these files is."""
    kinds = {row.kind for row in media}
    if not kinds:
        return Post.ContentType.TEXT
    return Post.ContentType(kinds.pop()) if len(kinds) == 1 else Post.ContentType.MIXED


def set_texts(post: Post, fields: PostFields) -> set[str]:
    """Put the texts into the unsaved post; the names of those that changed."""
    given = {name: fields[name] for name in TEXTS if name in fields}  # type: ignore[literal-required]  # TEXTS are its keys
    changed = {name for name, value in given.items() if getattr(post, name) != value}
    for name in changed:
        setattr(post, name, given[name])
    return changed


def set_audience(post: Post, wanted: Audience, *, current: Audience) -> set[str]:
    """Put the audience into the unsaved post; the names of what changed. A new price is a new price version."""
    if wanted.price is not None and wanted.price != current.price:
        post.price_version += 1
    post.visibility = wanted.visibility
    post.price_amount = wanted.price.amount if wanted.price else None
    post.price_currency = wanted.price.currency if wanted.price else None
    compared = {
        "visibility": wanted.visibility != current.visibility,
        "price": wanted.price != current.price,
        "allowed_tier_ids": wanted.tier_ids != current.tier_ids,
    }
    return {name for name, differs in compared.items() if differs}


def write_tiers(post: Post, tier_ids: Iterable[UUID]) -> None:
    """Let these tiers open the saved post, and no others."""
    post.post_tiers.all().delete()
    PostTier.objects.bulk_create([PostTier(post=post, tier_id=tier_id) for tier_id in tier_ids])


def wanted_previews(fields: PostFields, media: Iterable[MediaRef], *, current: Collection[UUID]) -> list[UUID]:
    """The files that a locked post shall show; what is no preview any more because it left the post is forgotten."""
    media_ids = [row.pk for row in media]
    if "preview_media_ids" not in fields:
        return [media_id for media_id in media_ids if media_id in current]
    if not set(fields["preview_media_ids"]) <= set(media_ids):
        raise PreviewNotInPostError
    return [media_id for media_id in media_ids if media_id in fields["preview_media_ids"]]


def write_media(post: Post, media: Iterable[MediaRef], previews: Collection[UUID]) -> None:
    """Put these files into the saved post, in this order, and no others; those among `previews` are for everyone."""
    post.post_media.all().delete()
    rows = [
        PostMedia(post=post, media=row, position=position, is_preview=row.pk in previews)
        for position, row in enumerate(media)
    ]
    PostMedia.objects.bulk_create(rows)
