"""What content refuses.

DomainError
├── LockedError                403  the post is there, its content is not for this reader
├── InvalidTransitionError     409
├── HasPurchasesError          409
├── NotPublishedError          409
├── CommentsClosedError        409
├── MediaNotReadyError         409 on delivery
├── OwnPostError               422
└── UnfitPostError             422  what the post is made of does not fit together
    ├── EmptyPostError
    ├── MediaNotOwnedError
    ├── MediaUnusableError
    ├── TierUnknownError
    ├── TierNotOwnedError
    ├── TierArchivedError
    ├── TiersRequiredError
    ├── TiersNotAllowedError
    ├── PriceRequiredError
    ├── PriceNotAllowedError
    ├── PublishTimeError
    ├── PreviewNotInPostError
    └── ReplyDepthError
"""

from eventbus.exceptions import DomainError


class LockedError(DomainError):
    """The reader may know of the post, and may not read it."""

    code = "locked"
    status = 403
    title = "This post is locked for you"


class InvalidTransitionError(DomainError):
    """The post does not stand where this step begins."""

    code = "invalid_transition"
    title = "The post cannot do that from where it stands"


class HasPurchasesError(DomainError):
    """Somebody bought the post and may go on reading it."""

    code = "has_purchases"
    title = "The post has been bought; withdraw it instead"


class SearchTooWideError(DomainError):
    """So many posts hold the words that finding those the reader may see takes too long."""

    code = "search_too_wide"
    status = 422
    title = "Too many posts hold these words; search for more of them, or for rarer ones"


class NotPublishedError(DomainError):
    """Only what is out can be liked."""

    code = "not_published"
    title = "The post is not published"


class CommentsClosedError(DomainError):
    """The post takes no comments."""

    code = "comments_closed"
    title = "The post takes no comments"


class MediaNotReadyError(DomainError):
    """The file cannot be shown yet, or no more."""

    code = "media_not_ready"
    title = "The file is not ready"


class UnfitPostError(DomainError):
    """What the post is made of does not fit together."""

    code = "unfit_post"
    status = 422
    title = "The post does not fit together"


class EmptyPostError(UnfitPostError):
    """There would be nothing to read or see."""

    code = "empty_post"
    title = "A published post needs a body or a file"


class MediaNotOwnedError(UnfitPostError):
    """A file is unknown or somebody else's; which of the two is not said."""

    code = "media_not_owned"
    title = "A file is not one of yours"


class MediaUnusableError(UnfitPostError):
    """A file was refused or deleted, or is not ready and the post is out already."""

    code = "media_not_ready"
    title = "A file is not ready"


class TierUnknownError(UnfitPostError):
    """A tier has not been heard of; it may be so new that trying again helps."""

    code = "tier_unknown"
    title = "A tier is not known"


class TierNotOwnedError(UnfitPostError):
    """A tier is another creator's."""

    code = "tier_not_owned"
    title = "A tier is not one of yours"


class TierArchivedError(UnfitPostError):
    """A tier cannot be chosen any more."""

    code = "tier_archived"
    title = "A tier is archived"


class TiersRequiredError(UnfitPostError):
    """A post for tiers names them."""

    code = "tiers_required"
    title = "A post for tiers needs at least one tier"


class TiersNotAllowedError(UnfitPostError):
    """Tiers mean nothing for this audience."""

    code = "tiers_not_allowed"
    title = "Only a post for tiers or one sold singly names tiers"


class PriceRequiredError(UnfitPostError):
    """A post sold singly has a price."""

    code = "price_required"
    title = "A post sold singly needs a price"


class PriceNotAllowedError(UnfitPostError):
    """A price means nothing for this audience."""

    code = "price_not_allowed"
    title = "Only a post sold singly has a price"


class OwnPostError(DomainError):
    """A creator reports their own post."""

    code = "own_post"
    status = 422
    title = "This is your own post"


class PreviewNotInPostError(UnfitPostError):
    """A preview is one of the post's own files."""

    code = "preview_not_in_post"
    title = "A preview must be one of the post's files"


class PublishTimeError(UnfitPostError):
    """The time to publish at is over, or absurdly far away."""

    code = "publish_time_out_of_range"
    title = "The post cannot come out at that time"


class ReplyDepthError(UnfitPostError):
    """An answer is given to a comment of the same post that is not itself an answer."""

    code = "reply_depth"
    title = "Only a top-level comment of the same post can be answered"
