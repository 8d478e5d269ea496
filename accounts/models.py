"""Who people are."""

from django.contrib.auth.models import AbstractBaseUser, PermissionsMixin
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.managers import UserManager

HANDLE_FORM = r"^[a-z0-9_]{3,30}$"
DEFAULT_GRACE_DAYS = 7
MAX_GRACE_DAYS = 21


class Role(models.TextChoices):
    """The groups that give a person more than their own account."""

    MODERATOR = "moderator"
    STAFF_FINANCE = "staff_finance"


class User(AbstractBaseUser, PermissionsMixin):
    """Somebody who can sign in: a fan, a creator, or staff."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(
        max_length=254, unique=True, error_messages={"unique": "A user with this e-mail address exists."}
    )
    display_name = models.CharField(max_length=50)
    is_active = models.BooleanField(default=True)
    is_suspended = models.BooleanField(default=False)
    suspended_at = models.DateTimeField(null=True, blank=True, editable=False)
    suspension_reason = models.CharField(max_length=500, blank=True, editable=False)
    is_staff = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["display_name"]

    class Meta:
        constraints = [
            # With the unique index this makes addresses unique however they are capitalised.
            models.CheckConstraint(condition=Q(email=Lower("email")), name="email_stored_in_lower_case"),
            models.CheckConstraint(condition=~Q(display_name=""), name="user_has_a_display_name"),
            models.CheckConstraint(
                condition=Q(is_suspended=True, suspended_at__isnull=False)
                | Q(is_suspended=False, suspended_at__isnull=True),
                name="suspended_exactly_since_a_time",
            ),
        ]
        indexes = [models.Index(F("created_at").desc(), F("id").desc(), name="users_newest_first")]

    def __str__(self) -> str:
        return self.email

    @property
    def is_creator(self) -> bool:
        """Whether this user has a creator profile."""
        return hasattr(self, "creator_profile")

    def has_role(self, role: str) -> bool:
        """Whether this user is a working member of the role's group."""
        return self.is_active and not self.is_suspended and self.groups.filter(name=role).exists()

    def get_full_name(self) -> str:
        """The name to show."""
        return self.display_name

    def get_short_name(self) -> str:
        """The name to show where there is little room."""
        return self.display_name


class CreatorProfile(models.Model):
    """What makes a user a creator; its key is the user's, so a creator's id is their user id."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True, related_name="creator_profile")
    handle = models.CharField(max_length=30, unique=True)
    bio = models.CharField(max_length=2000, blank=True)
    country = models.CharField(max_length=2, null=True, blank=True)
    default_currency = models.CharField(max_length=3, default="USD")
    grace_days = models.PositiveSmallIntegerField(
        default=DEFAULT_GRACE_DAYS, validators=[MaxValueValidator(MAX_GRACE_DAYS)]
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(handle__regex=HANDLE_FORM), name="handle_has_its_form"),
            models.CheckConstraint(
                condition=Q(country__isnull=True) | Q(country__regex=r"^[A-Z]{2}$"), name="country_is_two_letters"
            ),
            models.CheckConstraint(
                condition=Q(default_currency__regex=r"^[A-Z]{3}$"), name="default_currency_is_three_letters"
            ),
            models.CheckConstraint(condition=Q(grace_days__lte=MAX_GRACE_DAYS), name="grace_at_most_21_days"),
        ]

    def __str__(self) -> str:
        return f"@{self.handle}"


class Block(models.Model):
    """One user who wants nothing to do with another; it counts in both directions."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    blocker = models.ForeignKey(User, on_delete=models.CASCADE, related_name="blocks_made", db_index=False)
    blocked = models.ForeignKey(User, on_delete=models.CASCADE, related_name="blocks_met", db_index=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["blocker", "blocked"], name="one_block_of_each_other_user"),
            models.CheckConstraint(condition=~Q(blocker=F("blocked")), name="nobody_blocks_themselves"),
        ]
        indexes = [
            models.Index(F("blocker"), F("created_at").desc(), F("id").desc(), name="blocks_of_a_user_newest_first"),
            models.Index(fields=["blocked", "blocker"], name="blocks_that_a_user_met"),
        ]

    def __str__(self) -> str:
        return f"{self.blocker_id} blocks {self.blocked_id}"
