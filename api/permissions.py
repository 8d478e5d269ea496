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
        return super().has_permission(request, view) and request.user.is_authenticated


class Creator(SignedIn):
    """An account with a creator profile."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the one signed in is a creator."""
        return super().has_permission(request, view) and getattr(request.user, "is_creator", False)


class Moderator(SignedIn):
    """An account in the group `moderator`."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the one signed in moderates."""
        return super().has_permission(request, view) and has_role(request, "moderator")


class FinanceStaff(SignedIn):
    """An account in the group `staff_finance`."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the one signed in handles money for the platform."""
        return super().has_permission(request, view) and has_role(request, "staff_finance")


def has_role(request: Request, role: str) -> bool:
    """Whether the one signed in has the role; a stranger has none."""
    user = request.user
    return user.is_authenticated and user.has_role(role)
