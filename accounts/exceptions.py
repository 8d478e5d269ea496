"""What accounts refuses."""

from eventbus.exceptions import DomainError


class EmailTakenError(DomainError):
    """Another account has this e-mail address."""

    code = "email_taken"
    status = 409
    title = "This e-mail address has an account"


class HandleTakenError(DomainError):
    """Another creator has this handle, or it is kept for the platform."""

    code = "handle_taken"
    status = 409
    title = "This handle is taken"


class AlreadyCreatorError(DomainError):
    """The account has a creator profile."""

    code = "already_creator"
    status = 409
    title = "This account is a creator already"


class NotCreatorError(DomainError):
    """The account has no creator profile to change."""

    code = "not_creator"
    status = 409
    title = "This account is not a creator"


class SelfBlockError(DomainError):
    """Somebody would block themselves."""

    code = "self_block"
    status = 422
    title = "Nobody blocks themselves"


class UserNotFoundError(DomainError):
    """There is no such user."""

    code = "not_found"
    status = 404
    title = "Not Found"


class InvalidCredentialsError(DomainError):
    """The e-mail address and the password do not belong together; which of them is wrong is not said."""

    code = "invalid_credentials"
    status = 401
    title = "The e-mail address or the password is wrong"


class WrongPasswordError(DomainError):
    """The present password, asked for again, is not right."""

    code = "wrong_password"
    status = 403
    title = "The present password is wrong"
