"""A developer's machine: DEBUG on, any host name, keys that protect nothing."""

from config.settings.base import *  # noqa: F403 - settings modules extend one another by star import
from config.settings.base import LOGGING, env

DEBUG = True
SECRET_KEY = env.str("SECRET_KEY", default="only-for-a-developers-own-machine-0123456789abcdef")
ALLOWED_HOSTS = ["*"]
TRIBUTARY_TOKEN_KEYS = env.list("TRIBUTARY_TOKEN_KEYS", default=["only-for-a-developers-own-machine"])
TRIBUTARY_FINGERPRINT_KEY = env.str("TRIBUTARY_FINGERPRINT_KEY", default="only-for-a-developers-own-machine")
SANDBOX_WEBHOOK_SECRETS = env.list("SANDBOX_WEBHOOK_SECRETS", default=["only-for-a-developers-own-machine"])
# Two lines for each task of the clock, every few seconds, would bury all others; failures are errors and stay.
LOGGING["loggers"] = {
    **LOGGING.get("loggers", {}),
    "celery.worker.strategy": {"level": "WARNING"},
    "celery.app.trace": {"level": "WARNING"},
}

env.refuse_unknown()
