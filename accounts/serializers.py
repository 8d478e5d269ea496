"""What accounts reads and shows; inputs and outputs apart."""

import re
from typing import Any

from rest_framework import serializers

from accounts.models import HANDLE_FORM, MAX_GRACE_DAYS, Block, CreatorProfile, User
from api.serializers import ClosedSerializer, CurrencyField, PlainTextField, StrictIntegerField

MAX_PASSWORD = 128


class AddressField(serializers.EmailField):
    """An e-mail address in ASCII and lower case: two spellings of one address cannot make two accounts."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=254, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """The address in lower case."""
        if not isinstance(data, str) or not data.isascii():
            self.fail("invalid")
        return super().to_internal_value(data).lower()


class SecretField(serializers.CharField):
    """A password or token: taken as it is, never shown, never logged."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(write_only=True, trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """The text itself."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class HandleField(serializers.CharField):
    """A creator's public name: 3 to 30 of a-z, 0-9 and _."""

    default_error_messages = {"form": "A handle has 3 to 30 characters of a-z, 0-9 and _."}

    def to_internal_value(self, data: Any) -> str:
        """The handle in lower case."""
        if not isinstance(data, str) or not data.isascii() or not re.fullmatch(HANDLE_FORM, data.lower()):
            self.fail("form")
        return data.lower()


class CountryField(serializers.CharField):
    """ISO 3166-1 alpha-2."""

    default_error_messages = {"form": "A country is two upper-case letters of ISO 3166."}

    def to_internal_value(self, data: Any) -> str:
        """The code, in its form only."""
        if not isinstance(data, str) or not re.fullmatch("[A-Z]{2}", data):
            self.fail("form")
        return data


class RegisterInput(ClosedSerializer):
    """Somebody new."""

    email = AddressField()
    password = SecretField(max_length=MAX_PASSWORD)
    display_name = PlainTextField(max_length=50)


class CredentialsInput(ClosedSerializer):
    """Somebody signing in."""

    email = AddressField()
    password = SecretField(max_length=MAX_PASSWORD)


class RefreshInput(ClosedSerializer):
    """A refresh token."""

    refresh = SecretField(max_length=4096)


class PasswordInput(ClosedSerializer):
    """A new password, and the present one as proof."""

    present = SecretField(max_length=MAX_PASSWORD)
    new = SecretField(max_length=MAX_PASSWORD)


class UserInput(ClosedSerializer):
    """What a user may change about themselves."""

    display_name = PlainTextField(max_length=50)


class CreatorProfileInput(ClosedSerializer):
    """What a creator says about themselves."""

    handle = HandleField()
    bio = PlainTextField(max_length=2000, multiline=True, required=False, allow_blank=True)
    country = CountryField(required=False, allow_null=True)
    default_currency = CurrencyField(required=False)
    grace_days = StrictIntegerField(required=False, min_value=0, max_value=MAX_GRACE_DAYS)


class TokenPairOutput(serializers.Serializer[Any]):
    """A short-lived access token and the refresh token that renews it once."""

    access = serializers.CharField()
    refresh = serializers.CharField()


class OwnProfileOutput(serializers.ModelSerializer[CreatorProfile]):
    """A creator's profile as they see it themselves."""

    class Meta:
        model = CreatorProfile
        fields = ["handle", "bio", "country", "default_currency", "grace_days", "created_at"]


class MeOutput(serializers.ModelSerializer[User]):
    """A user as they see themselves."""

    creator_profile = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = ["id", "email", "display_name", "is_creator", "creator_profile", "created_at"]

    def get_creator_profile(self, user: User) -> dict[str, Any] | None:
        """The profile, or null for a fan."""
        return OwnProfileOutput(user.creator_profile).data if user.is_creator else None


class CreatorOutput(serializers.ModelSerializer[CreatorProfile]):
    """A creator as anyone sees them."""

    id = serializers.UUIDField(source="pk")
    display_name = serializers.CharField(source="user.display_name")

    class Meta:
        model = CreatorProfile
        fields = ["id", "handle", "display_name", "bio", "default_currency", "created_at"]


class BlockOutput(serializers.ModelSerializer[Block]):
    """Somebody whom a user blocks."""

    user_id = serializers.UUIDField(source="blocked_id")
    display_name = serializers.CharField(source="blocked.display_name")

    class Meta:
        model = Block
        fields = ["user_id", "display_name", "created_at"]
