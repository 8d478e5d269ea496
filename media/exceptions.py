"""What media refuses.

DomainError
├── TypeNotAllowedError    415  the bytes are of no type that is taken
├── FileTooLargeError      413  more bytes than a file of this kind may have
├── EmptyFileError         422  no bytes at all
├── QuotaExceededError     403  the owner's daily bytes, daily files or places for waiting files are used up
├── NotUploadedError       409  the announced file has not been brought
├── SizeMismatchError      409  more bytes were brought than announced
├── ChecksumMismatchError  409  other bytes were brought than announced
├── PartsMissingError      409  some parts of the announced file have not been brought
├── PartMismatchError      409  another part is in the store than the client names
├── AlreadyUploadedError   409  the file has been brought: there is no upload to give up
├── UploadBusyError        409  another request checks the file just now
├── UploadExpiredError     410  the announced file was not brought in time, or given up
├── UploadRefusedError     403  the fields of the form are not those that were issued
├── MediaInUseError        409  a post still needs the file
├── MediaNotReadyError     409  nothing of the file can be shown (yet)
└── RangeNotSatisfiableError  416  the range lies beyond the end of the file

Inside a worker:

UnfitMediaError    these bytes will never be shown, and why
OverLimitError     working on them takes more than a file may: never shown either
OverTimeError      the work took too long, which a busy machine can be the reason of
ScannerError       the malware scanner gave no verdict
ChildDiedError     the process that worked on them ended badly
OvertakenError     the file was deleted, or given to another worker, meanwhile
"""

from typing import TYPE_CHECKING

from eventbus.exceptions import DomainError

if TYPE_CHECKING:
    from media.models.assets import MediaAsset


class TypeNotAllowedError(DomainError):
    """The file is of no type that is taken here, whatever it calls itself."""

    code = "type_not_allowed"
    status = 415
    title = "Files of this type are not accepted as what they were announced as"


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
    """The owner has uploaded as many bytes or files as one may in a day, or has too many files waiting."""

    code = "quota_exceeded"
    status = 403
    title = "The upload quota is used up"


class NotUploadedError(DomainError):
    """The announced file has not been brought."""

    code = "not_uploaded"
    title = "Nothing has been uploaded to the given address yet; upload the file, then complete it"


class SizeMismatchError(DomainError):
    """More bytes were brought than announced."""

    code = "size_mismatch"
    title = "The file is larger than announced; upload it again, or announce it anew"


class ChecksumMismatchError(DomainError):
    """Other bytes were brought than announced."""

    code = "checksum_mismatch"
    title = "The file's SHA-256 is not the announced one; upload it again"


class PartsMissingError(DomainError):
    """Some parts of the announced file have not been brought."""

    code = "parts_missing"
    title = "Parts of the file are missing; ask for the upload to see which, and upload them"


class PartMismatchError(DomainError):
    """Another part is in the store than the client names."""

    code = "part_mismatch"
    title = "A part is not the one that was named; ask for the upload, and upload that part again"


class AlreadyUploadedError(DomainError):
    """The file has been brought: there is no upload to give up."""

    code = "already_uploaded"
    title = "This upload is complete; delete the file instead"


class UploadBusyError(DomainError):
    """Another request checks the file just now."""

    code = "upload_busy"
    title = "The file is being checked; ask for its status"


class UploadExpiredError(DomainError):
    """The announced file was not brought in time, or given up."""

    code = "upload_expired"
    status = 410
    title = "The time for this upload is over; announce the file anew"


class UploadRefusedError(DomainError):
    """The form's fields were not issued here, or were changed."""

    code = "upload_refused"
    status = 403
    title = "These fields are not the ones that were issued for this upload"


class MediaInUseError(DomainError):
    """A post still needs the file."""

    code = "media_in_use"
    title = "A post uses this file"


class MediaNotReadyError(DomainError):
    """The file has no variants (yet)."""

    code = "media_not_ready"
    title = "This file is not ready to be shown"


class RangeNotSatisfiableError(DomainError):
    """The request asks for a range of bytes of which the file has none."""

    code = "range_not_satisfiable"
    status = 416
    title = "The file has no such range"


class UnfitMediaError(Exception):
    """A worker found a reason why this file will never be shown."""

    def __init__(self, failure: "MediaAsset.Failure", detail: str) -> None:
        super().__init__(detail)
        self.failure = failure


class OverLimitError(Exception):
    """A child process used up its limit of `time`, `memory` or `output`."""

    def __init__(self, limit: str, detail: str) -> None:
        super().__init__(detail)
        self.limit = limit


class OverTimeError(Exception):
    """A child process was not done by its deadline, and was ended."""


class ScannerError(Exception):
    """The malware scanner did not say whether the file is clean."""


class ChildDiedError(Exception):
    """A child process ended badly; what it complained of last, if it is a program."""

    def __init__(self, exit_code: int, said: str = "") -> None:
        super().__init__(f"exit code {exit_code}: {said}" if said else f"exit code {exit_code}")
        self.exit_code = exit_code


class OvertakenError(Exception):
    """The file was deleted, or its lease ended and another worker has it."""
