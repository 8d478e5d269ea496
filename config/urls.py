"""Every route: the rooms' under /api/v1, and what operators and browsers need beside them."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from api.permissions import Anyone
from api.views import healthz, nothing_here, readyz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("admin/", admin.site.urls),
    path("api/schema", SpectacularAPIView.as_view(permission_classes=[Anyone]), name="schema"),
    path("api/docs", SpectacularSwaggerView.as_view(url_name="schema", permission_classes=[Anyone]), name="docs"),
    path("api/v1/", include("accounts.urls")),
    path("api/v1/", include("subscriptions.urls")),
    path("api/v1/", include("payments.urls")),
    path("api/v1/", include("content.urls")),
    path("api/v1/", include("media.urls")),
    path("api/<path:unknown>", nothing_here, name="nothing-here"),
]

handler400 = "api.errors.handler400"
handler403 = "api.errors.handler403"
handler404 = "api.errors.handler404"
handler500 = "api.errors.handler500"
