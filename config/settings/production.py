"""Where people's money is: nothing is guessed, and what is missing is named at once.

HTTPS is expected in front or here. A proxy that ends TLS must set X-Forwarded-Proto itself and be trusted by
TRIBUTARY_TRUST_FORWARDED_PROTO, or the redirect to HTTPS would never end.
"""

from django.core.exceptions import ImproperlyConfigured

from config.settings.base import *  # noqa: F403 - settings modules extend one another by star import
from config.settings.base import CACHES, CELERY_BROKER_URL, SECRET_KEY, env

env.require(
    "SECRET_KEY",
    "DATABASE_URL",
    "KAFKA_BROKERS",
    "ALLOWED_HOSTS",
    "CELERY_BROKER_URL",
    "TRIBUTARY_TOKEN_KEYS",
    "TRIBUTARY_FINGERPRINT_KEY",
)
if SECRET_KEY.startswith("only-for-a-developers"):
    raise ImproperlyConfigured("SECRET_KEY is the one from config/settings/local.py, which everybody can read")

DEBUG = False

# Throttles count in the cache, so every web process must share it.
REDIS_URL = env.str("REDIS_URL", default=CELERY_BROKER_URL if CELERY_BROKER_URL.startswith("redis") else "")
if not REDIS_URL:
    raise ImproperlyConfigured("Set REDIS_URL: rates are counted there, and CELERY_BROKER_URL is not a Redis")
CACHES["default"] = {
    "BACKEND": "django.core.cache.backends.redis.RedisCache",
    "LOCATION": REDIS_URL,
    "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},
}

SECURE_SSL_REDIRECT = env.bool("TRIBUTARY_HTTPS_REDIRECT", default=True)
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]  # load balancers ask these inside the network, without TLS
if env.bool("TRIBUTARY_TRUST_FORWARDED_PROTO", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = env.int("TRIBUTARY_HSTS_SECONDS", default=31_536_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("TRIBUTARY_HSTS_SUBDOMAINS", default=True)
SECURE_HSTS_PRELOAD = env.bool("TRIBUTARY_HSTS_PRELOAD", default=False)
SESSION_COOKIE_SECURE = env.bool("TRIBUTARY_SECURE_COOKIES", default=True)
CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE
# To be on the browsers' preload list binds a whole domain for years: its owner decides, not a default.
SILENCED_SYSTEM_CHECKS = ["security.W021"]

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

env.refuse_unknown()
