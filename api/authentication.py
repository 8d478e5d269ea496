"""The two ways to say who you are; both tell the event context who acts."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from rest_framework import authentication, exceptions
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication

from api.context import act_as
from api.exceptions import CsrfFailedError


class TokenAuthentication(JWTAuthentication):
    """A bearer token; the user is read again each time, so a suspension counts at once."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """The user of the token, or None without one."""
        found: tuple[Any, Any] | None = super().authenticate(request)
        if found is not None:
            act_as(request._request, found[0].pk)
        return found


class SessionAuthentication(authentication.SessionAuthentication):
    """The admin's cookie, with CSRF on every unsafe method."""

    def enforce_csrf(self, request: Request | HttpRequest) -> None:
        """Refuse with a code of its own, so that a client knows to fetch a token."""
        try:
            super().enforce_csrf(request)  # type: ignore[arg-type]  # the stubs know one of the two requests
        except exceptions.PermissionDenied as refusal:
            raise CsrfFailedError(str(refusal.detail)) from refusal


def user_id_of(request: Request | HttpRequest) -> UUID:
    """Who asks; raises NotAuthenticated for a stranger, should a view forget its permission."""
    user_id = viewer_id_of(request)
    if user_id is None:
        raise exceptions.NotAuthenticated
    return user_id


def viewer_id_of(request: Request | HttpRequest) -> UUID | None:
    """Who looks, where looking is open to strangers; None for one of them."""
    return request.user.pk
