"""Who may call a view; a view that says nothing is closed."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from api.exceptions import AccountSuspendedError


class DenyAll(BasePermission):
    """The default: a route is opened on purpose or not at all."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Nobody."""
        return False


class Anyone(BasePermission):
    """Signed in or not; only a suspended account is turned away."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Everybody, unless suspended."""
        if getattr(request.user, "is_suspended", False):
            raise AccountSuspendedError
        return True


class SignedIn(Anyone):
    """Any account that is not suspended."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether somebody is signed in."""
        return super().has_permission(request, view) and bool(request.user and request.user.is_authenticated)


class Creator(SignedIn):
    """An account with a creator profile."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the one signed in is a creator."""
        return super().has_permission(request, view) and bool(request.user.is_creator)
