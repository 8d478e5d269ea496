"""Routes below /api/v1/."""

from django.urls import path

from accounts import views

urlpatterns = [
    path("auth/register", views.RegisterView.as_view(), name="register"),
    path("auth/token", views.TokenView.as_view(), name="token"),
    path("auth/token/refresh", views.TokenRefreshView.as_view(), name="token-refresh"),
    path("auth/token/blacklist", views.TokenBlacklistView.as_view(), name="token-blacklist"),
    path("auth/session", views.SessionView.as_view(), name="session"),
    path("me", views.MeView.as_view(), name="me"),
    path("me/password", views.PasswordView.as_view(), name="password"),
    path("me/creator-profile", views.MyCreatorProfileView.as_view(), name="my-creator-profile"),
    path("me/blocks", views.BlocksView.as_view(), name="blocks"),
    path("me/blocks/<uuid:user_id>", views.BlockView.as_view(), name="block"),
    path("creators/<str:handle_or_id>", views.CreatorView.as_view(), name="creator"),
]
