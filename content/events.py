"""What content tells the other rooms: posts and what readers do with them. Ids and states, never a word of the text."""

from datetime import datetime
from uuid import UUID

from eventbus.events import Event, WireEnum, event, field


class PostStatus(WireEnum):
    """Where a post stands; `deleted` is final, `withdrawn` is off sale while buyers keep access."""

    DRAFT = "draft"
    AWAITING_MEDIA = "awaiting_media"
    SCHEDULED = "scheduled"
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"
    DELETED = "deleted"


class Moderation(WireEnum):
    """The moderators' word, independent of the post's own status."""

    CLEAR = "clear"
    FLAGGED = "flagged"
    HIDDEN = "hidden"


class ContentType(WireEnum):
    """What a post is made of."""

    TEXT = "text"
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    MIXED = "mixed"


class Visibility(WireEnum):
    """Who may read a published post."""

    PUBLIC = "public"
    SUBSCRIBERS = "subscribers"
    TIERS = "tiers"
    PPV = "ppv"


class DeletedBy(WireEnum):
    """Who deleted a post."""

    CREATOR = "creator"
    MODERATOR = "moderator"
    STAFF = "staff"
    SYSTEM = "system"


class DeletionReason(WireEnum):
    """Why a post was deleted."""

    OWNER_REQUEST = "owner_request"
    POLICY = "policy"
    ACCOUNT_CLOSED = "account_closed"
    LEGAL = "legal"


class PostSnapshot(Event):
    """All that other rooms may know of a post; the price in minor units, null unless it is sold singly."""

    post_id: UUID
    creator_id: UUID
    status: PostStatus = PostStatus.PUBLISHED
    moderation: Moderation = Moderation.CLEAR
    content_type: ContentType
    visibility: Visibility
    allowed_tier_ids: tuple[UUID, ...] = field(name="requiredTierIds", default=())
    price_amount: int | None = field(name="ppvPrice", default=None)
    price_currency: str | None = None
    price_version: int = 0
    media_ids: tuple[UUID, ...] = ()
    publish_at: datetime | None = None
    published_at: datetime | None = None

    @property
    def is_on_sale(self) -> bool:
        """Whether it can be bought singly now."""
        return (
            self.visibility is Visibility.PPV
            and self.status is PostStatus.PUBLISHED
            and self.moderation is not Moderation.HIDDEN
        )


@event("content.post.created", version="1.0", key="post_id", aggregate="post")
class PostCreated(PostSnapshot):
    """A post exists, be it only a draft."""

    has_teaser: bool = False
    created_at: datetime | None = None


@event("content.post.updated", version="1.0", key="post_id", aggregate="post")
class PostUpdated(PostSnapshot):
    """A post's state, audience, price or media changed."""

    changed_fields: tuple[str, ...] = ()
    previous_visibility: Visibility | None = None
    previous_status: PostStatus | None = None
    updated_at: datetime


@event("content.post.deleted", version="1.0", key="post_id", aggregate="post")
class PostDeleted(Event):
    """A post is gone for ever; the last event of its aggregate. Buyers keep the media named in `retained_media_ids`."""

    post_id: UUID
    creator_id: UUID
    media_ids: tuple[UUID, ...] = ()
    retained_media_ids: tuple[UUID, ...] = ()
    deleted_by: DeletedBy = DeletedBy.CREATOR
    reason: DeletionReason = DeletionReason.OWNER_REQUEST
    refund_purchases: bool = False
    deleted_at: datetime


class LikeFact(Event):
    """A reader's opinion of a post; the highest `revision` of a (post, user) is the one that holds."""

    post_id: UUID
    creator_id: UUID
    user_id: UUID
    revision: int
    like_count: int


@event(
    "content.post.liked", version="1.0", key="post_id", aggregate="post_like", aggregate_id=("post_id", "user_id")
)
class PostLiked(LikeFact):
    """A reader likes a post; the revision is odd."""

    liked_at: datetime


@event(
    "content.post.unliked", version="1.0", key="post_id", aggregate="post_like", aggregate_id=("post_id", "user_id")
)
class PostUnliked(LikeFact):
    """A reader took the like back; the revision is even."""

    unliked_at: datetime


@event("content.comment.created", version="1.0", key="post_id", aggregate="comment", aggregate_id="comment_id")
class CommentCreated(Event):
    """Somebody commented; `parent_author_id` is who to tell of a reply."""

    comment_id: UUID
    post_id: UUID
    creator_id: UUID
    author_id: UUID = field(name="userId")
    parent_comment_id: UUID | None
    parent_author_id: UUID | None
    comment_count: int
    created_at: datetime
