"""What content tells the other rooms: posts and what readers do with them. Ids and states, never a word of the text."""

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from eventbus.events import Event, WireEnum, event, field

if TYPE_CHECKING:
    from content.models.posts import Post
    from content.models.reactions import Comment, PostLike


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

    @staticmethod
    def fields_of(post: "Post") -> dict[str, Any]:
        """The post as the other rooms may know it."""
        return {
            "sequence": post.sequence,
            "post_id": post.pk,
            "creator_id": post.creator_id,
            "status": PostStatus(post.status),
            "moderation": Moderation(post.moderation),
            "content_type": ContentType(post.content_type),
            "visibility": Visibility(post.visibility),
            "allowed_tier_ids": tuple(post.allowed_tier_ids),
            "price_amount": post.price_amount,
            "price_currency": post.price_currency,
            "price_version": post.price_version,
            "media_ids": tuple(post.media_ids),
            "publish_at": post.publish_at,
            "published_at": post.published_at,
        }

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

    @classmethod
    def of(cls, post: "Post") -> Self:
        """The new post."""
        return cls(**cls.fields_of(post), has_teaser=bool(post.teaser), created_at=post.created_at)


@event("content.post.updated", version="1.0", key="post_id", aggregate="post")
class PostUpdated(PostSnapshot):
    """A post's state, audience, price or media changed."""

    changed_fields: tuple[str, ...] = ()
    previous_visibility: Visibility | None = None
    previous_status: PostStatus | None = None
    updated_at: datetime

    @classmethod
    def of(cls, post: "Post", *, changed: Collection[str], previous_status: str, previous_visibility: str) -> Self:
        """The post as it is now; `changed` names the wire's snapshot fields and texts that are not as before."""
        return cls(
            **cls.fields_of(post),
            changed_fields=tuple(sorted(changed)),
            previous_status=PostStatus(previous_status),
            previous_visibility=Visibility(previous_visibility),
            updated_at=post.updated_at,
        )


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

    @classmethod
    def of(cls, post: "Post", *, deleted_by: DeletedBy, reason: DeletionReason, refund_purchases: bool) -> Self:
        """The end of the post; no buyer keeps anything, for one who has bought is refunded first."""
        if post.deleted_at is None:
            raise ValueError(f"post {post.pk} is not deleted")
        return cls(
            sequence=post.sequence,
            post_id=post.pk,
            creator_id=post.creator_id,
            media_ids=tuple(post.media_ids),
            deleted_by=deleted_by,
            reason=reason,
            refund_purchases=refund_purchases,
            deleted_at=post.deleted_at,
        )


class LikeFact(Event):
    """A reader's opinion of a post; the highest `revision` of a (post, user) is the one that holds."""

    post_id: UUID
    creator_id: UUID
    user_id: UUID
    revision: int
    like_count: int

    @staticmethod
    def fields_of(like: "PostLike", post: "Post") -> dict[str, Any]:
        """The reader's opinion, and how many share it."""
        return {
            "sequence": like.revision,
            "post_id": post.pk,
            "creator_id": post.creator_id,
            "user_id": like.user_id,
            "revision": like.revision,
            "like_count": post.like_count,
        }


@event(
    "content.post.liked",
    version="1.0",
    key="post_id",
    aggregate="post_like",
    aggregate_id=("post_id", "user_id"),
    retention_days=7,
)
class PostLiked(LikeFact):
    """A reader likes a post; the revision is odd."""

    liked_at: datetime

    @classmethod
    def of(cls, like: "PostLike", post: "Post") -> Self:
        """The like as it was just given."""
        return cls(**cls.fields_of(like, post), liked_at=like.updated_at)


@event(
    "content.post.unliked",
    version="1.0",
    key="post_id",
    aggregate="post_like",
    aggregate_id=("post_id", "user_id"),
    retention_days=7,
)
class PostUnliked(LikeFact):
    """A reader took the like back; the revision is even."""

    unliked_at: datetime

    @classmethod
    def of(cls, like: "PostLike", post: "Post") -> Self:
        """The like as it was just taken back."""
        return cls(**cls.fields_of(like, post), unliked_at=like.updated_at)


@event(
    "content.comment.created",
    version="1.0",
    key="post_id",
    aggregate="comment",
    aggregate_id="comment_id",
    retention_days=7,
)
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

    @classmethod
    def of(cls, comment: "Comment", post: "Post") -> Self:
        """The comment without its words."""
        return cls(
            sequence=1,
            comment_id=comment.pk,
            post_id=post.pk,
            creator_id=post.creator_id,
            author_id=comment.author_id,
            parent_comment_id=comment.parent_id,
            parent_author_id=comment.parent.author_id if comment.parent else None,
            comment_count=post.comment_count,
            created_at=comment.created_at,
        )
