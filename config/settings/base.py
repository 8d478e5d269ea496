"""Settings common to every environment: safe by default, everything that differs comes from the environment."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from config.settings.environment import Environment

BASE_DIR = Path(__file__).resolve().parents[2]

env = Environment()
Environment.read_env(BASE_DIR / ".env", overwrite=False)

# --- what this process is ---------------------------------------------------------------------------------------------

DEBUG = False
SECRET_KEY = env.str("SECRET_KEY", default="")
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=[])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
FORMAT_MODULE_PATH = ["config.formats"]  # the admin's dates

ROOMS = ["subscriptions", "payments", "content", "media"]

INSTALLED_APPS = [
    "config",
    "config.apps.TributaryAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "eventbus",
    "api",
    "accounts",
    *ROOMS,
]

MIDDLEWARE = [
    "api.context.RequestContextMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- where things are kept --------------------------------------------------------------------------------------------

DATABASES: dict[str, Any] = {"default": env.db_url("DATABASE_URL", default="postgres://localhost/tributary")}
DATABASES["default"].setdefault("CONN_MAX_AGE", 60)
DATABASES["default"].setdefault("CONN_HEALTH_CHECKS", True)

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
MEDIA_ORPHAN_GRACE_SECONDS = env.int("MEDIA_ORPHAN_GRACE_SECONDS", default=604_800)
MEDIA_UNUSED_GRACE_SECONDS = env.int("MEDIA_UNUSED_GRACE_SECONDS", default=86_400)
MEDIA_MAX_AT_WORK = env.whole("MEDIA_MAX_AT_WORK", default=1, at_least=1, at_most=1000)
MEDIA_CLAMAV = env.str("MEDIA_CLAMAV", default="")
MEDIA_FFMPEG = env.str("MEDIA_FFMPEG", default="")
MEDIA_ROOT = Path(env.str("MEDIA_ROOT", default=str(BASE_DIR / "var" / "media")))
MEDIA_S3_BUCKET = env.str("MEDIA_S3_BUCKET", default="")
MEDIA_S3_ENDPOINT = env.str("MEDIA_S3_ENDPOINT", default="")
MEDIA_S3_REGION = env.str("MEDIA_S3_REGION", default="us-east-1")

AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("email", "display_name")},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# Rates are counted in the first, and by each process in the second while the first is away.
CACHES: dict[str, Any] = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "shared"},
    "own": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": "own",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    },
}

# --- HTTP -------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "api.authentication.TokenAuthentication",
        "api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["api.permissions.DenyAll"],
    "DEFAULT_PAGINATION_CLASS": "api.pagination.NewestFirstPagination",
    "DEFAULT_SCHEMA_CLASS": "api.schema.ProblemAutoSchema",
    "DEFAULT_PARSER_CLASSES": ["api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_THROTTLE_CLASSES": ["api.throttling.ScopedThrottle"],
    # Several rates to a scope; a view names its scope as `throttle_scope`.
    "DEFAULT_THROTTLE_RATES": {
        "register": "5/minute,20/hour",
        "tokens": "60/minute",
        "login": "10/minute,100/hour",
        "login_account": "30/minute,300/hour",
        "account": "20/minute",
        "blocks": "60/minute,500/day",
        "payments": "10/minute,60/day",
        "payment_methods": "10/minute,30/day",
        "subscriptions": "20/minute",
        "webhooks": "1200/minute",
        "posts": "30/minute",
        "likes": "60/minute",
        "comments": "10/minute",
        "search": "30/minute",
        "reports": "10/minute,50/day",
        "uploads": "30/hour",
        "signed_urls": "120/minute",
    },
    # Proxies in front whose X-Forwarded-For may be believed; with none the header is ignored.
    "NUM_PROXIES": env.int("TRIBUTARY_PROXIES", default=0),
    "COERCE_DECIMAL_TO_STRING": True,
    "EXCEPTION_HANDLER": "api.errors.problem_response",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=14),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
    "USER_ID_FIELD": "id",
    "CHECK_REVOKE_TOKEN": True,  # a changed password ends the tokens made with the old one
}
API_MAX_BODY_BYTES = 256 * 1024
CSRF_FAILURE_VIEW = "api.errors.csrf_failure"
# The smallest and largest amount of one payment, in minor units.
MONEY_LIMITS: dict[str, tuple[int, int]] = {
    "default": (50, 99_999_999),
    "BHD": (500, 99_999_999),
    "CLP": (500, 99_999_999),
    "HUF": (17_500, 99_999_999),
    "KRW": (700, 99_999_999),
    "KWD": (500, 99_999_999),
    "TND": (500, 99_999_999),
}

API_DESCRIPTION = """
Creator subscriptions, single-post sales and tips.

- **Sign in**: `POST /auth/register`, then `POST /auth/token`; its `access` goes into *Authorize*, or into the header
  `Authorization: Bearer …`. Browsers may have a cookie instead: `POST /auth/session`.
- **Send twice, happen once**: where `Idempotency-Key` is named, send one of your own of 16 to 64 characters. The same
  key with the same request gets the same answer.
- **Change what you have seen**: where `If-Match` is named, send the `version` that you read, in quotes: `"3"`. If it is
  no longer that, the answer is 412.
- **Money** is whole minor units: `500` USD is 5.00 dollars.
- **Lists** come in pages; follow `next`.
- **Refusals** are `application/problem+json`. `code` is for programs, `detail` for people, `trace_id` finds it in the
  log.
- **Rooms follow one another**: what one has done, the others know a moment later. A subscription is `incomplete` until
  its payment has been told, and its posts open then.
"""
SPECTACULAR_SETTINGS = {
    "TITLE": "Tributary",
    "DESCRIPTION": API_DESCRIPTION,
    "VERSION": "1.0.0",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "defaultModelsExpandDepth": 0},  # each shape is at its operation
    "REDOC_DIST": "SIDECAR",
    "SERVE_INCLUDE_SCHEMA": False,
    # Without drf-spectacular's own hook: it names enums by field, and every room has a `status`.
    "POSTPROCESSING_HOOKS": ["api.schema.declare_problem", "api.schema.let_shapes_overlap"],
}

# --- the event bus ----------------------------------------------------------------------------------------------------

SERVICES = {"subscriptions": "subscription", "payments": "payment", "content": "content", "media": "media"}

JOURNAL = {
    "client_id": env.str("KAFKA_CLIENT_ID_JOURNAL", default="journal-service"),
    "group_id": env.str("KAFKA_GROUP_ID_JOURNAL", default="journal-consumer-group"),
}

EVENTBUS: dict[str, Any] = {
    "brokers": env.str("KAFKA_BROKERS", default=""),
    "security": {
        "protocol": env.str("KAFKA_SECURITY_PROTOCOL", default="PLAINTEXT"),
        "sasl_mechanism": env.str("KAFKA_SASL_MECHANISM", default=""),
        "sasl_username": env.str("KAFKA_SASL_USERNAME", default=""),
        "sasl_password": env.str("KAFKA_SASL_PASSWORD", default=""),
        "ssl_ca": env.str("KAFKA_SSL_CA", default=""),
        "ssl_certificate": env.str("KAFKA_SSL_CERTIFICATE", default=""),
        "ssl_key": env.str("KAFKA_SSL_KEY", default=""),
        "ssl_key_password": env.str("KAFKA_SSL_KEY_PASSWORD", default=""),
        "oauth_token_url": env.str("KAFKA_OAUTH_TOKEN_URL", default=""),
        "oauth_client_id": env.str("KAFKA_OAUTH_CLIENT_ID", default=""),
        "oauth_client_secret": env.str("KAFKA_OAUTH_CLIENT_SECRET", default=""),
        "oauth_scope": env.str("KAFKA_OAUTH_SCOPE", default=""),
    },
    "client_config": env.properties("KAFKA_CONFIG__"),
    "topic_prefix": env.str("KAFKA_TOPIC_PREFIX", default=""),
    "rooms": {
        room: {
            "client_id": env.str(f"KAFKA_CLIENT_ID_{room.upper()}", default=f"{service}-service"),
            "group_id": env.str(f"KAFKA_GROUP_ID_{room.upper()}", default=f"{service}-consumer-group"),
        }
        for room, service in SERVICES.items()
    },
    "journal": JOURNAL if env.bool("EVENTBUS_JOURNAL", default=False) else None,
    "journal_retention_days": env.int("EVENTBUS_JOURNAL_RETENTION_DAYS", default=30),
    "partitions": env.int("KAFKA_PARTITIONS", default=6),
    "replication_factor": env.int("KAFKA_REPLICATION_FACTOR", default=1),
    "min_insync_replicas": env.int("KAFKA_MIN_INSYNC_REPLICAS", default=1),
    "group_protocol": env.str("KAFKA_GROUP_PROTOCOL", default="consumer"),
    "compression": env.str("KAFKA_COMPRESSION", default="none"),
    "fetch_wait_ms": env.int("KAFKA_FETCH_WAIT_MS", default=50),
    "max_event_bytes": env.int("EVENTBUS_MAX_EVENT_BYTES", default=900_000),
    "http_port": env.int("EVENTBUS_HTTP_PORT", default=0),
    "relay_wake": env.str("EVENTBUS_RELAY_WAKE", default="poll"),
    "retry_attempts": env.int("EVENTBUS_RETRY_ATTEMPTS", default=8),
    "parked_limit": env.int("EVENTBUS_PARKED_LIMIT", default=100_000),
    "stuck_seconds": env.float("EVENTBUS_STUCK_SECONDS", default=90.0),
}

# --- background work --------------------------------------------------------------------------------------------------

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="redis://localhost:6379/0")
CELERY_FILESYSTEM_DIRECTORY = env.str("CELERY_FILESYSTEM_DIRECTORY", default="")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_TIME_LIMIT = 300
# What cannot be sent is not waited for: a round finds the work. The second try meets a new connection.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
if CELERY_BROKER_URL.startswith("redis"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": 1, "socket_timeout": 5}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"

# --- money ------------------------------------------------------------------------------------------------------------

PAYMENT_GATEWAY = env.str("PAYMENT_GATEWAY", default="sandbox")
ALLOW_SANDBOX_GATEWAY = env.bool("ALLOW_SANDBOX_GATEWAY", default=False)
# What the sandbox signs its webhooks with, the current one first; with none it sends none and none are taken.
SANDBOX_WEBHOOK_SECRETS: list[str] = env.list("SANDBOX_WEBHOOK_SECRETS", default=[])
STRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY", default="")
# What Stripe signs its webhooks with; two while one is being changed. With none its webhooks are not taken.
STRIPE_WEBHOOK_SECRETS: list[str] = env.list("STRIPE_WEBHOOK_SECRETS", default=[])
# Where Stripe sends a payer back who had to go to their bank; empty when the client embeds Stripe's own script.
STRIPE_RETURN_URL = env.str("STRIPE_RETURN_URL", default="")
STRIPE_API_BASE = env.str("STRIPE_API_BASE", default="")
PLATFORM_FEE_BPS = env.whole("PLATFORM_FEE_BPS", default=1000, at_least=0, at_most=10_000)  # hundredths of a percent
REFUND_WINDOW_DAYS = env.whole("REFUND_WINDOW_DAYS", default=60, at_least=0, at_most=3650)
# When a declined cycle is tried again, in days after its first decline; its billing request's end comes first.
DUNNING_DAYS: list[int] = env.list("DUNNING_DAYS", cast=int, default=[2, 7, 14, 21])
# A creator's money may be paid out so long after it was captured.
CLEARING_DAYS = env.whole("CLEARING_DAYS", default=7, at_least=0, at_most=365)
# Whether the processor keeps its fee of a payment that is given back; the platform then bears it.
PROCESSOR_KEEPS_FEE = env.bool("PROCESSOR_KEEPS_FEE", default=True)
TRIBUTARY_TOKEN_KEYS: list[str] = env.list("TRIBUTARY_TOKEN_KEYS", default=[])
TRIBUTARY_FINGERPRINT_KEY = env.str("TRIBUTARY_FINGERPRINT_KEY", default="")
REPORTS_TO_FLAG = env.whole("TRIBUTARY_REPORTS_TO_FLAG", default=3, at_least=1, at_most=1_000_000)
REPORTER_AGE_DAYS = env.whole("TRIBUTARY_REPORTER_AGE_DAYS", default=7, at_least=0, at_most=3650)
# At most a day: asked for earlier, a renewal would forbid every change of price for as long.
RENEWAL_LEAD_MINUTES = env.whole("TRIBUTARY_RENEWAL_LEAD_MINUTES", default=60, at_least=1, at_most=1440)

# --- logging: one line an event, to standard error --------------------------------------------------------------------

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="INFO")},
}
if CELERY_BROKER_URL.startswith("filesystem://"):
    # kombu warns, in every process, that an address of files names no host.
    LOGGING["loggers"] = {"kombu.connection": {"level": "ERROR"}}
