"""What media refuses.

DomainError
├── TypeNotAllowedError    415  the bytes are of no type that is taken
├── FileTooLargeError      413  more bytes than a file of this kind may have
├── EmptyFileError         422  no bytes at all
├── QuotaExceededError     403  the owner's daily volume or open uploads are used up
├── MediaInUseError        409  a post still needs the file
└── MediaNotReadyError     409  nothing of the file can be shown (yet)

UnfitImageError    inside a worker: these pixels will never be shown, and why
"""

from typing import TYPE_CHECKING

from eventbus.exceptions import DomainError

if TYPE_CHECKING:
    from media.models import MediaAsset


class TypeNotAllowedError(DomainError):
    """The file is of no type that is taken here, whatever it calls itself."""

    code = "type_not_allowed"
    status = 415
    title = "Only JPEG, PNG, WebP and GIF images are accepted"


class FileTooLargeError(DomainError):
    """The file has more bytes than a file of its kind may have."""

    code = "payload_too_large"
    status = 413
    title = "The file is too large"


class EmptyFileError(DomainError):
    """The file has no bytes."""

    code = "size_out_of_range"
    status = 422
    title = "The file is empty"


class QuotaExceededError(DomainError):
    """The owner has uploaded as much as one may in a day, or has too many files waiting."""

    code = "quota_exceeded"
    status = 403
    title = "The upload quota is used up"


class MediaInUseError(DomainError):
    """A post still needs the file."""

    code = "media_in_use"
    title = "A post uses this file"


class MediaNotReadyError(DomainError):
    """The file has no variants (yet)."""

    code = "media_not_ready"
    title = "This file is not ready to be shown"


class UnfitImageError(Exception):
    """A worker found a reason why this image will never be shown."""

    def __init__(self, failure: "MediaAsset.Failure", detail: str) -> None:
        super().__init__(detail)
        self.failure = failure
