"""People, as support and operators see them."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts import services
from accounts.models import CreatorProfile, User
from api.authentication import user_id_of

if TYPE_CHECKING:  # generic to the type checker only
    ProfileInlineBase = admin.StackedInline[CreatorProfile, User]
    ProfileAdminBase = admin.ModelAdmin[CreatorProfile]
    NewUserFormBase = AdminUserCreationForm[User]
    UserFormBase = UserChangeForm[User]
    UserAdminBase = DjangoUserAdmin[User]
else:
    ProfileInlineBase = admin.StackedInline
    ProfileAdminBase = admin.ModelAdmin
    NewUserFormBase = AdminUserCreationForm
    UserFormBase = UserChangeForm
    UserAdminBase = DjangoUserAdmin


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
    """The profile on its user's page."""

    model = CreatorProfile
    can_delete = False
    extra = 0


@admin.register(User)
class UserAdmin(UserAdminBase):
    """Users; suspension goes through the services."""

    form = UserForm
    add_form = NewUserForm
    inlines = [CreatorProfileInline]
    ordering = ["-created_at", "-id"]
    list_display = ["email", "display_name", "is_creator_shown", "is_active", "is_suspended", "is_staff", "created_at"]
    list_filter = ["is_active", "is_suspended", "is_staff", "is_superuser", "groups"]
    list_select_related = ["creator_profile"]
    search_fields = ["email", "display_name", "=id", "creator_profile__handle"]
    readonly_fields = ["id", "is_suspended", "suspended_at", "suspension_reason", "last_login", "created_at"]
    show_full_result_count = False
    actions = ["suspend", "reinstate"]
    fieldsets: ClassVar[Any] = [
        (None, {"fields": ["id", "email", "display_name", "password"]}),
        ("Standing", {"fields": ["is_active", "is_suspended", "suspended_at", "suspension_reason"]}),
        ("Rights", {"fields": ["is_staff", "is_superuser", "groups", "user_permissions"]}),
        ("Dates", {"fields": ["last_login", "created_at"]}),
    ]
    add_fieldsets: Any = [
        (None, {"classes": ["wide"], "fields": ["email", "display_name", "usable_password", "password1", "password2"]})
    ]

    @admin.display(boolean=True, description="creator")
    def is_creator_shown(self, user: User) -> bool:
        """Whether the user is a creator."""
        return user.is_creator

    @admin.action(description="Suspend the selected users", permissions=["change"])
    def suspend(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Turn these users away; nobody suspends themselves by a slip."""
        users = list(queryset.exclude(pk=user_id_of(request)))
        for user in users:
            services.suspend_user(user_id=user.pk, reason=f"Suspended in the admin by {user_id_of(request)}")
        self.message_user(request, f"{len(users)} suspended.")

    @admin.action(description="Reinstate the selected users", permissions=["change"])
    def reinstate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Let these users act again."""
        users = list(queryset)
        for user in users:
            services.reinstate_user(user_id=user.pk)
        self.message_user(request, f"{len(users)} reinstated.")


@admin.register(CreatorProfile)
class CreatorProfileAdmin(ProfileAdminBase):
    """Creators."""

    list_display = ["handle", "user", "default_currency", "grace_days", "country", "created_at"]
    list_filter = ["default_currency", "country"]
    list_select_related = ["user"]
    search_fields = ["handle", "=user__id", "user__email", "user__display_name"]
    readonly_fields = ["created_at"]
    raw_id_fields = ["user"]
    ordering = ["-created_at"]
    show_full_result_count = False
