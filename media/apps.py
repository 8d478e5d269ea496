from importlib import import_module

from django.apps import AppConfig

MODEL_MODULES = ("references", "assets", "variants", "verifications")


class MediaConfig(AppConfig):
    name = "media"
    default_auto_field = "django.db.models.BigAutoField"

    def import_models(self) -> None:
        """Load the modules of the models package, whose __init__ is empty like every other here."""
        super().import_models()
        for name in MODEL_MODULES:
            import_module(f"media.models.{name}")
