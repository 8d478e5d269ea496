"""Routes of subscriptions, relative to /api/v1/."""

from typing import Any

urlpatterns: list[Any] = []
