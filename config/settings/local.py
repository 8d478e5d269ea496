"""A developer's machine: DEBUG on, any host name, a key that protects nothing."""

from config.settings.base import *  # noqa: F403 - settings modules extend one another by star import

DEBUG = True
SECRET_KEY = env.str("SECRET_KEY", default="only-for-a-developers-own-machine-0123456789abcdef")  # noqa: F405 - from base
ALLOWED_HOSTS = ["*"]
