"""Guessing passwords is slowed for the one who guesses and for the account guessed at."""

from typing import Any

from rest_framework.request import Request

from api.throttling import ScopedThrottle


class LoginThrottle(ScopedThrottle):
    """Counts log-ins by address, and by the e-mail address tried: many machines at one account share its limit.

    The account's own limit is the wider one, or one stranger could keep its owner out.
    """

    def allow_request(self, request: Request, view: Any) -> bool:
        """Whether both still have room."""
        email = request.data.get("email") if isinstance(request.data, dict) else None
        if not self.count("login", f"address:{self.get_ident(request)}"):
            return False
        return not isinstance(email, str) or self.count("login_account", email.strip().lower())
