from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class EventBusConfig(AppConfig):
    """Finds every room's events and handlers once Django knows the rooms."""

    name = "eventbus"
    verbose_name = "Event bus"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        autodiscover_modules("events")
        autodiscover_modules("handlers")
        from eventbus import checks  # noqa: F401 - importing it registers the checks
