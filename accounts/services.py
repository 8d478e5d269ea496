"""Every way an account changes. None of them is told to the other rooms: they ask `accounts.selectors`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from psycopg.errors import UniqueViolation

from accounts.exceptions import (
    AlreadyCreatorError,
    EmailTakenError,
    HandleTakenError,
    NotCreatorError,
    SelfBlockError,
    UserNotFoundError,
    WrongPasswordError,
)
from accounts.models import DEFAULT_GRACE_DAYS, Block, CreatorProfile, Role, User
from api.money import require_currency

# Handles that would read as the platform itself, or stand where a route does.
# fmt: off
RESERVED_HANDLES = frozenset(
    ["about", "account", "accounts", "admin", "administrator", "api", "auth", "billing", "creator", "creators",
    "docs", "feed", "help", "login", "logout", "me", "media", "moderator", "moderators", "ops", "payments",
    "posts", "register", "root", "schema", "security", "settings", "staff", "static", "subscriptions", "support",
    "system", "tips", "tributary", "webhooks", "www"]
)
# fmt: on

EDITABLE_USER_FIELDS = frozenset({"display_name"})
EDITABLE_PROFILE_FIELDS = frozenset({"handle", "bio", "country", "default_currency", "grace_days"})


@transaction.atomic
def register(*, email: str, password: str, display_name: str) -> User:
    """Make an account for somebody new."""
    user = User(email=email.strip().lower(), display_name=display_name)
    require_good_password(password, user=user, named="password")
    user.set_password(password)
    with unique_or(EmailTakenError):
        user.save(force_insert=True)
    return user


@transaction.atomic
def update_user(*, user_id: UUID, changes: dict[str, Any]) -> User:
    """Change what a user may change about themselves."""
    user = User.objects.select_for_update().get(pk=user_id)
    assign(user, changes, allowed=EDITABLE_USER_FIELDS)
    user.save(update_fields=sorted(changes))
    return user


@transaction.atomic
def change_password(*, user_id: UUID, present: str, new: str) -> User:
    """Replace the password; every token and session made with the old one ends."""
    user = User.objects.select_for_update().get(pk=user_id)
    if not user.check_password(present):
        raise WrongPasswordError
    require_good_password(new, user=user, named="new")
    user.set_password(new)
    user.save(update_fields=["password"])
    return user


@transaction.atomic
def become_creator(
    *,
    user_id: UUID,
    handle: str,
    bio: str = "",
    country: str | None = None,
    default_currency: str = "USD",
    grace_days: int = DEFAULT_GRACE_DAYS,
) -> CreatorProfile:
    """Give a user the profile that makes them a creator."""
    user = User.objects.select_for_update().get(pk=user_id)
    if CreatorProfile.objects.filter(pk=user.pk).exists():
        raise AlreadyCreatorError
    require_free_handle(handle)
    require_currency(default_currency)

    profile = CreatorProfile(
        user=user,
        handle=handle,
        bio=bio,
        country=country,
        default_currency=default_currency,
        grace_days=grace_days,
    )
    with unique_or(HandleTakenError):
        profile.save(force_insert=True)
    return profile


@transaction.atomic
def update_creator_profile(*, user_id: UUID, changes: dict[str, Any]) -> CreatorProfile:
    """Change what a creator may change about their profile."""
    profile = CreatorProfile.objects.select_for_update(of=("self",)).select_related("user").filter(pk=user_id).first()
    if profile is None:
        raise NotCreatorError
    if changes.get("handle", profile.handle) != profile.handle:
        require_free_handle(changes["handle"])
    if "default_currency" in changes:
        require_currency(changes["default_currency"])

    assign(profile, changes, allowed=EDITABLE_PROFILE_FIELDS)
    with unique_or(HandleTakenError):
        profile.save(update_fields=sorted(changes))
    return profile


@transaction.atomic
def block_user(*, blocker_id: UUID, blocked_id: UUID) -> Block:
    """Keep two users apart, because one of them wants it; a second time changes nothing."""
    if blocker_id == blocked_id:
        raise SelfBlockError
    if not User.objects.filter(pk=blocked_id).exists():
        raise UserNotFoundError
    block, _ = Block.objects.select_related("blocked").get_or_create(blocker_id=blocker_id, blocked_id=blocked_id)
    return block


@transaction.atomic
def unblock_user(*, blocker_id: UUID, blocked_id: UUID) -> None:
    """Take a block back; without one nothing changes, and the other's own block stays."""
    Block.objects.filter(blocker=blocker_id, blocked=blocked_id).delete()


@transaction.atomic
def suspend_user(*, user_id: UUID, reason: str = "") -> User:
    """Turn a user away from everything, at once and with every token they hold."""
    user = User.objects.select_for_update().get(pk=user_id)
    if user.is_suspended:
        return user
    user.is_suspended = True
    user.suspended_at = timezone.now()
    user.suspension_reason = reason
    user.save(update_fields=["is_suspended", "suspended_at", "suspension_reason"])
    return user


@transaction.atomic
def reinstate_user(*, user_id: UUID) -> User:
    """Let a suspended user act again."""
    user = User.objects.select_for_update().get(pk=user_id)
    if not user.is_suspended:
        return user
    user.is_suspended = False
    user.suspended_at = None
    user.suspension_reason = ""
    user.save(update_fields=["is_suspended", "suspended_at", "suspension_reason"])
    return user


@transaction.atomic
def grant_role(*, user_id: UUID, role: Role) -> User:
    """Put a user into the role's group."""
    user = User.objects.get(pk=user_id)
    group, _ = Group.objects.get_or_create(name=role.value)
    user.groups.add(group)
    return user


@transaction.atomic
def revoke_role(*, user_id: UUID, role: Role) -> User:
    """Take a user out of the role's group."""
    user = User.objects.get(pk=user_id)
    user.groups.remove(*Group.objects.filter(name=role.value))
    return user


def require_good_password(password: str, *, user: User, named: str) -> None:
    """Refuse a password that is easily guessed, saying under which name it came."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise ValidationError({named: error.messages}) from error


def require_free_handle(handle: str) -> None:
    """Refuse the platform's own words; whether another creator has the handle only the constraint knows."""
    if handle in RESERVED_HANDLES:
        raise HandleTakenError


def assign(row: User | CreatorProfile, changes: dict[str, Any], *, allowed: frozenset[str]) -> None:
    """Set the fields, none but those meant to be set."""
    strangers = set(changes) - allowed
    if strangers:
        raise ValueError(f"Not to be changed here: {', '.join(sorted(strangers))}")
    for name, value in changes.items():
        setattr(row, name, value)


@contextmanager
def unique_or(error: type[EmailTakenError | HandleTakenError]) -> Iterator[None]:
    """Turn the unique constraint's no into the domain's, keeping the transaction usable."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as refusal:
        if isinstance(refusal.__cause__, UniqueViolation):
            raise error from refusal
        raise
