"""The admin site of the platform."""

from django.contrib.admin import AdminSite
from django.http import HttpRequest


class TributaryAdminSite(AdminSite):
    """Staff only, and none who is suspended."""

    site_header = "Tributary"
    site_title = "Tributary"
    index_title = "Platform"
    site_url = "/api/docs"  # there is no page at / that "View site" could show

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether this person may see any of it."""
        return super().has_permission(request) and not getattr(request.user, "is_suspended", False)
