"""Addresses of files that open for a short time: who may read a post gets them, who keeps the file checks them.

The signature covers the file, its variant, the viewer and the end of its time, each as it is written in the address.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from django.core.signing import BadSignature, Signer
from django.utils import timezone

from eventbus.exceptions import DomainError

SALT: Final = "media-delivery"
PREFIX: Final = "/api/v1/media/files"
ANYONE: Final = "anyone"
VARIANT: Final = re.compile(r"[a-z0-9_]{1,40}", re.ASCII)
EXPIRES: Final = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)


class SignatureInvalidError(DomainError):
    """The address was not issued here, or was changed."""

    code = "signature_invalid"
    status = 403
    title = "This address is not valid"


class SignatureExpiredError(DomainError):
    """The address was valid once."""

    code = "signature_expired"
    status = 403
    title = "This address has expired"


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """A relative address and when it stops working."""

    url: str
    expires_at: datetime


def sign(*, media_id: UUID, variant: str, viewer_id: UUID | None, ttl: timedelta) -> SignedUrl:
    """The address of one rendition of a file for one viewer, for so long; `viewer_id` None is anybody."""
    expires = int((timezone.now() + ttl).timestamp())
    viewer = ANYONE if viewer_id is None else str(viewer_id)
    url = signed_address(media_id=media_id, variant=variant, viewer=viewer, expires=str(expires))
    return SignedUrl(url=url, expires_at=datetime.fromtimestamp(expires, UTC))


def signed_address(*, media_id: UUID, variant: str, viewer: str, expires: str) -> str:
    """The address of another rendition for the viewer and the end that a verified address names."""
    if not VARIANT.fullmatch(variant):
        raise ValueError(f"{variant!r} cannot be the name of a variant")
    signature = _signer().signature(_statement(str(media_id), variant, viewer, expires))
    return f"{PREFIX}/{media_id}/{variant}?{urlencode({'viewer': viewer, 'expires': expires, 'signature': signature})}"


def verify(*, media_id: UUID | str, variant: str, viewer: str, expires: str, signature: str) -> None:
    """Refuse an address that was not issued just so, or whose time is over; the arguments as they stand in it."""
    if not (VARIANT.fullmatch(variant) and EXPIRES.fullmatch(expires)):
        raise SignatureInvalidError
    statement = _statement(str(media_id), variant, viewer, expires)
    try:
        _signer().unsign(f"{statement}:{signature}")
    except BadSignature as error:
        raise SignatureInvalidError from error
    if int(expires) <= timezone.now().timestamp():
        raise SignatureExpiredError


def _statement(media_id: str, variant: str, viewer: str, expires: str) -> str:
    return f"{media_id}/{variant}/{viewer}/{expires}"


def _signer() -> Signer:
    return Signer(salt=SALT)
