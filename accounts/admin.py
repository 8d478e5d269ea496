"""People, as support and operators see them."""

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from accounts import services
from accounts.models import Block, CreatorProfile, Role, User
from api.admin import ReadOnlyAdmin
from api.authentication import user_id_of
from api.money import CURRENCY_CHOICES
from eventbus.pages import act_on_each, as_uuid, asks_why

if TYPE_CHECKING:  # generic to the type checker only
    ProfileInlineBase = admin.StackedInline[CreatorProfile, User]
    ProfileAdminBase = admin.ModelAdmin[CreatorProfile]
    ProfileFormBase = forms.ModelForm[CreatorProfile]
    NewUserFormBase = AdminUserCreationForm[User]
    UserFormBase = UserChangeForm[User]
    UserAdminBase = DjangoUserAdmin[User]
else:
    ProfileInlineBase = admin.StackedInline
    ProfileAdminBase = admin.ModelAdmin
    ProfileFormBase = forms.ModelForm
    NewUserFormBase = AdminUserCreationForm
    UserFormBase = UserChangeForm
    UserAdminBase = DjangoUserAdmin


RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions")


class LowerCaseEmail:
    """An address typed by staff is stored as everybody else's is."""

    cleaned_data: dict[str, Any]

    def clean_email(self) -> str:
        """The address in lower case."""
        return str(self.cleaned_data["email"]).strip().lower()


class NewUserForm(LowerCaseEmail, NewUserFormBase):
    """A user made by staff."""

    class Meta:
        model = User
        fields = ("email", "display_name")


class UserForm(LowerCaseEmail, UserFormBase):
    """A user changed by staff."""

    class Meta:
        model = User
        fields = "__all__"


class CreatorProfileInline(ProfileInlineBase):
    """The profile on its user's page; it is changed on its own, through the service."""

    model = CreatorProfile
    can_delete = False
    show_change_link = True
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never here."""
        return False


@admin.register(User)
class UserAdmin(UserAdminBase):
    """Users; suspension goes through the services, and nobody is deleted: the rooms keep their ids for ever."""

    form = UserForm
    add_form = NewUserForm
    inlines = [CreatorProfileInline]
    ordering = ["-created_at", "-id"]
    list_display = ["email", "display_name", "is_creator_shown", "is_active", "is_suspended", "is_staff", "created_at"]
    list_filter = ["is_active", "is_suspended", "is_staff", "is_superuser", "groups"]
    list_select_related = ["creator_profile"]
    list_per_page = 50
    search_fields = ["email", "display_name", "creator_profile__handle"]
    readonly_fields = ["id", "is_suspended", "suspended_at", "suspension_reason", "last_login", "created_at"]
    show_full_result_count = False
    actions = ["suspend", "reinstate"]
    fieldsets: ClassVar[Any] = [
        (None, {"fields": ["id", "email", "display_name", "password"]}),
        ("Standing", {"fields": ["is_active", "is_suspended", "suspended_at", "suspension_reason"]}),
        ("Rights", {"fields": [*RIGHTS]}),
        ("Dates", {"fields": ["last_login", "created_at"]}),
    ]
    add_fieldsets: Any = [
        (None, {"classes": ["wide"], "fields": ["email", "display_name", "usable_password", "password1", "password2"]})
    ]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: payments, posts and subscriptions name people by ids that would lead nowhere."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Whoever may change users; a superuser only by a superuser, or anybody with this right could become one."""
        if obj is not None and obj.is_superuser and not is_superuser(request):
            return False
        return super().has_change_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Rights are given by superusers alone."""
        fields = super().get_readonly_fields(request, obj)
        return fields if is_superuser(request) else [*fields, *RIGHTS]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        """The user of this id, or those with these words."""
        user_id = as_uuid(search_term)
        if user_id is not None:
            return queryset.filter(pk=user_id), False
        return super().get_search_results(request, queryset, search_term)

    @admin.display(boolean=True, description="creator")
    def is_creator_shown(self, user: User) -> bool:
        """Whether the user is a creator."""
        return user.is_creator

    @admin.action(description="Suspend the selected users", permissions=["change"])
    @asks_why("These people are turned away at once, with every token they hold; reinstating them lets them in again.")
    def suspend(self, request: HttpRequest, queryset: QuerySet[User], reason: str) -> None:
        """Turn these users away; nobody suspends themselves by a slip, nor a superuser without being one."""

        def suspended(user: User) -> bool:
            if user.is_suspended or user.pk == user_id_of(request) or not self.has_change_permission(request, user):
                return False
            services.suspend_user(user_id=user.pk, reason=reason)
            return True

        act_on_each(self, request, queryset, suspended, done="Suspended", reason=reason)

    @admin.action(description="Reinstate the selected users", permissions=["change"])
    def reinstate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Let these users act again."""

        def reinstated(user: User) -> bool:
            if not user.is_suspended or not self.has_change_permission(request, user):
                return False
            services.reinstate_user(user_id=user.pk)
            return True

        act_on_each(self, request, queryset, reinstated, done="Reinstated", reason="")


def is_superuser(request: HttpRequest) -> bool:
    """Whether a superuser asks."""
    return bool(getattr(request.user, "is_superuser", False))


class CreatorProfileForm(ProfileFormBase):
    """What staff may change of a creator's profile, in the bounds of the creator's own."""

    default_currency = forms.ChoiceField(choices=CURRENCY_CHOICES, initial="USD")

    class Meta:
        model = CreatorProfile
        fields = ("user", "handle", "bio", "country", "default_currency", "grace_days")
        widgets = {"bio": forms.Textarea(attrs={"rows": 4})}

    def clean_handle(self) -> str:
        """In lower case, and none of the platform's own words unless it is kept."""
        handle = str(self.cleaned_data["handle"]).strip().lower()
        if handle != self.initial.get("handle") and handle in services.RESERVED_HANDLES:
            raise forms.ValidationError("This handle is kept for the platform itself.")
        return handle

    def clean_country(self) -> str | None:
        """In upper case, or none."""
        return (self.cleaned_data["country"] or "").upper() or None


@admin.register(CreatorProfile)
class CreatorProfileAdmin(ProfileAdminBase):
    """Creators; changes go through the services, and who is a creator stays one."""

    form = CreatorProfileForm
    list_display = ["handle", "user", "default_currency", "grace_days", "country", "created_at"]
    list_filter = ["default_currency", "country"]
    list_select_related = ["user"]
    list_per_page = 50
    search_fields = ["handle", "user__email", "user__display_name"]
    raw_id_fields = ["user"]
    ordering = ["-created_at"]
    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: the creator's tiers and posts would belong to nobody."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: CreatorProfile | None = None) -> list[str]:
        """A profile does not change hands."""
        return ["created_at"] if obj is None else ["user", "created_at"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[CreatorProfile], search_term: str
    ) -> tuple[QuerySet[CreatorProfile], bool]:
        """The profile of this user's id, or those with these words."""
        user_id = as_uuid(search_term)
        if user_id is not None:
            return queryset.filter(pk=user_id), False
        return super().get_search_results(request, queryset, search_term)

    def save_model(self, request: HttpRequest, obj: CreatorProfile, form: Any, change: bool) -> None:  # noqa: FBT001 - Django calls it so
        """Write through the services."""
        values = {name: form.cleaned_data[name] for name in services.EDITABLE_PROFILE_FIELDS}
        if change:
            services.update_creator_profile(user_id=obj.pk, changes=values)
        else:
            services.become_creator(user_id=obj.user_id, **values)


@admin.register(Block)
class BlockAdmin(ReadOnlyAdmin):
    """Who wants nothing to do with whom; only the one who blocked takes it back."""

    list_display = ["id", "blocker", "blocked", "created_at"]
    list_select_related = ["blocker", "blocked"]
    search_fields = ["blocker__email__exact", "blocked__email__exact"]
    search_ids: ClassVar[list[str]] = ["id", "blocker_id", "blocked_id"]
    ordering = ["-created_at", "-id"]


admin.site.unregister([Group, OutstandingToken, BlacklistedToken])


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin):
    """Groups; the roles keep their names, by which the rooms know them."""

    def get_readonly_fields(self, request: HttpRequest, obj: Group | None = None) -> list[str]:
        """A role's name stays; its permissions may change."""
        return ["name"] if obj is not None and obj.name in Role.values else []

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Any group but a role; so only one by one, where it can be seen which it is."""
        return obj is not None and obj.name not in Role.values and super().has_delete_permission(request, obj)


@admin.register(OutstandingToken)
class OutstandingTokenAdmin(ReadOnlyAdmin):
    """Log-ins that can be renewed; the token itself stays out, for whoever reads it can be its owner."""

    list_display = ["id", "user", "jti", "created_at", "expires_at"]
    list_select_related = ["user"]
    search_fields = ["jti__exact", "user__email"]
    search_ids: ClassVar[list[str]] = ["user_id"]
    ordering = ["-id"]
    exclude = ["token"]


@admin.register(BlacklistedToken)
class BlacklistedTokenAdmin(ReadOnlyAdmin):
    """Log-ins that ended."""

    list_display = ["id", "owner", "blacklisted_at"]
    list_select_related = ["token__user"]
    search_fields = ["token__jti__exact", "token__user__email"]
    search_ids: ClassVar[list[str]] = ["token__user_id"]
    ordering = ["-id"]

    @admin.display(description="user")
    def owner(self, row: BlacklistedToken) -> str:
        """Whose log-in it was."""
        return str(row.token.user)
