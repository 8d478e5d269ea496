"""Routes below /api/v1/."""

urlpatterns: list[object] = []
