"""Django for the processes of a chaos run: the bus as it ships, and one room that counts."""

import os

import environ

REPLICAS = int(os.environ["CHAOS_REPLICAS"])

SECRET_KEY = "a-key-for-chaos-only"
TIME_ZONE = "UTC"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.postgres", "eventbus", "tests.chaos"]
DATABASES = {
    "default": {
        **environ.Env.db_url_config(os.environ["DATABASE_URL"]),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
}
EVENTBUS = {
    "brokers": os.environ["KAFKA_BROKERS"],
    # A room is a top-level package; each group of the run is this same room under another name.
    "rooms": {"tests": {"client_id": "chaos", "group_id": os.environ.get("CHAOS_GROUP", "chaos")}},
    "journal": {"client_id": "chaos-journal", "group_id": "chaos-journal-group"},
    "replication_factor": REPLICAS,
    "min_insync_replicas": max(1, REPLICAS - 1),
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
}
