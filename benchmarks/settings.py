"""The bus alone, with one room of its own whose events and handlers are what the benchmarks measure."""

from config.settings.test import *  # noqa: F403 - settings modules extend one another by star import
from config.settings.test import EVENTBUS

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.postgres",
    "eventbus",
    "benchmarks",
]
AUTH_USER_MODEL = "auth.User"
ROOT_URLCONF = ""
MIDDLEWARE = []
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
EVENTBUS = {
    **EVENTBUS,
    "rooms": {"benchmarks": {"client_id": "benchmark-service", "group_id": "benchmark-consumer-group"}},
}
