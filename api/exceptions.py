"""The refusals of HTTP itself; what a room refuses, the room's own exceptions.py names.

DomainError
├── PayloadTooLargeError           413
├── MalformedJsonError             400
├── InvalidCursorError             400
├── AccountSuspendedError          403
├── BlockedError                   403
├── CsrfFailedError                403
├── VersionRequiredError           428
├── MalformedVersionError          400
├── VersionConflictError           412
├── CurrencyNotSupportedError      422
├── AmountOutOfRangeError          422
└── IdempotencyError
    ├── IdempotencyKeyRequiredError     400
    ├── IdempotencyKeyMalformedError    400
    ├── IdempotencyKeyReusedError       422
    └── IdempotencyInProgressError      409
"""

from eventbus.exceptions import DomainError


class PayloadTooLargeError(DomainError):
    """The body is longer than any request here needs to be."""

    code = "payload_too_large"
    status = 413
    title = "The request body is too large"


class MalformedJsonError(DomainError):
    """The body is not the JSON that every reader would understand alike."""

    code = "malformed_json"
    status = 400
    title = "The request body is not acceptable JSON"


class InvalidCursorError(DomainError):
    """The cursor was not handed out by this list."""

    code = "invalid_cursor"
    status = 400
    title = "The cursor is not valid for this list"


class AccountSuspendedError(DomainError):
    """The account exists and may do nothing for now."""

    code = "account_suspended"
    status = 403
    title = "This account is suspended"


class BlockedError(DomainError):
    """One of the two blocks the other; which of them is not said."""

    code = "blocked"
    status = 403
    title = "There is a block between you and this user"


class CsrfFailedError(DomainError):
    """A request signed in by cookie did not prove that it comes from our own pages."""

    code = "csrf_failed"
    status = 403
    title = "The CSRF token is missing or wrong"


class VersionRequiredError(DomainError):
    """A change was asked for without saying of which version."""

    code = "version_required"
    status = 428
    title = "Send the version you have seen as If-Match"


class MalformedVersionError(DomainError):
    """If-Match holds something that is no version of ours."""

    code = "version_malformed"
    status = 400
    title = 'If-Match must hold one version, such as "3"'


class VersionConflictError(DomainError):
    """Somebody changed the object after the client last read it."""

    code = "version_conflict"
    status = 412
    title = "The object has changed since you read it"


class CurrencyNotSupportedError(DomainError):
    """No money of this currency is handled here."""

    code = "currency_not_supported"
    status = 422
    title = "This currency is not supported"


class AmountOutOfRangeError(DomainError):
    """The amount is below or above what is accepted in its currency."""

    code = "amount_out_of_range"
    status = 422
    title = "The amount is out of range"


class IdempotencyError(DomainError):
    """Base of everything that can be wrong with an Idempotency-Key."""


class IdempotencyKeyRequiredError(IdempotencyError):
    """The endpoint creates something that must not exist twice, and no key came."""

    code = "idempotency_key_required"
    status = 400
    title = "Send an Idempotency-Key header, of 16 to 64 characters"


class IdempotencyKeyMalformedError(IdempotencyError):
    """The key has the wrong length or alphabet."""

    code = "idempotency_key_malformed"
    status = 400
    title = "An Idempotency-Key has 16 to 64 characters of A-Z, a-z, 0-9, _ and -"


class IdempotencyKeyReusedError(IdempotencyError):
    """The key came before, with another request."""

    code = "idempotency_key_reused"
    status = 422
    title = "This Idempotency-Key was used for a different request"


class IdempotencyInProgressError(IdempotencyError):
    """The first request with this key has not finished."""

    code = "idempotency_in_progress"
    status = 409
    title = "The first request with this Idempotency-Key is still running"

    def __init__(self, detail: str = "", *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
