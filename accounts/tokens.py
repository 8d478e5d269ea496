"""Bearer tokens: made at log-in, renewed once each, ended at log-out. Nothing else makes tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from django.db import transaction
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken
from rest_framework_simplejwt.utils import get_md5_hash_password

from accounts.models import User
from api.exceptions import AccountSuspendedError


def sign_in(user: User) -> dict[str, str]:
    """A pair for somebody who has just proved who they are, and when that was."""
    user.last_login = timezone.now()
    user.save(update_fields=["last_login"])
    return token_pair(user)


def token_pair(user: User) -> dict[str, str]:
    """A fresh pair."""
    refresh = RefreshToken.for_user(user)
    return {"access": str(refresh.access_token), "refresh": str(refresh)}


@transaction.atomic
def renew(refresh: str) -> dict[str, str]:
    """A new pair for a refresh token, which ends; of two uses at once only one succeeds."""
    with refused_tokens():
        token = RefreshToken(cast(Any, refresh))
    # The row is locked before the blacklist is asked again, or two parallel renewals would both pass.
    OutstandingToken.objects.select_for_update().filter(jti=token[api_settings.JTI_CLAIM]).first()
    with refused_tokens():
        token.check_blacklist()
    user = User.objects.filter(pk=token[api_settings.USER_ID_CLAIM], is_active=True).first()
    if user is None or token.get(api_settings.REVOKE_TOKEN_CLAIM) != get_md5_hash_password(user.password):
        raise AuthenticationFailed
    if user.is_suspended:
        raise AccountSuspendedError
    token.blacklist()
    return token_pair(user)


def end(refresh: str) -> None:
    """Log out: the token renews nothing any more; one that is ended already or never was ours changes nothing."""
    try:
        token = RefreshToken(cast(Any, refresh))
    except TokenError:
        return
    token.blacklist()


@contextmanager
def refused_tokens() -> Iterator[None]:
    """A token that is expired, ended or forged is a 401."""
    try:
        yield
    except TokenError as error:
        raise AuthenticationFailed(str(error)) from error
