"""Routes of media, relative to /api/v1/."""

from typing import Any

urlpatterns: list[Any] = []
