"""The test suite: real PostgreSQL, no broker unless a test starts one, cheap password hashes."""

from config.settings.base import *  # noqa: F403 - settings modules extend one another by star import
from config.settings.base import DATABASES, MIDDLEWARE, env

SECRET_KEY = "a-key-for-tests-only-0123456789abcdef0123456789"  # noqa: S105 - it protects nothing
ALLOWED_HOSTS = ["testserver", "127.0.0.1", "localhost"]
MIDDLEWARE = [name for name in MIDDLEWARE if "whitenoise" not in name]  # it warns of files nobody has collected
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CELERY_BROKER_URL = "memory://"
CELERY_TASK_ALWAYS_EAGER = False
DATABASES["default"]["TEST"] = {"NAME": env.str("TEST_DATABASE_NAME", default="test_tributary")}
TRIBUTARY_TOKEN_KEYS = ["a-key-for-tests-only"]
TRIBUTARY_FINGERPRINT_KEY = "a-key-for-tests-only"
ALLOW_SANDBOX_GATEWAY = True
