from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class TributaryConfig(AppConfig):
    """Binds the Celery app in every process, so that a task enqueued by the web process finds its broker."""

    name = "config"
    verbose_name = "Tributary"

    def ready(self) -> None:
        from config import celery, checks  # noqa: F401 - importing them registers the app and the checks


class TributaryAdminConfig(admin_apps.AdminConfig):
    """Django's admin with our site."""

    default_site = "config.admin.TributaryAdminSite"
    default = False
