"""How users are found and made."""

from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import BaseUserManager

if TYPE_CHECKING:
    from accounts.models import User


class UserManager(BaseUserManager["User"]):
    """Users by e-mail address, in lower case."""

    def get_by_natural_key(self, username: str | None) -> "User":
        """The user who signs in with this address, however they capitalise it."""
        return self.get(email=(username or "").strip().lower())

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """A user with a hashed password; `accounts.services.register` is the way for people."""
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """A user who may do everything in the admin; what `manage.py createsuperuser` calls."""
        return self.create_user(email, password, **{**fields, "is_staff": True, "is_superuser": True})
