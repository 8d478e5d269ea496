"""The Celery app, and all clock work of the platform in one list.

Every task here asks the database what is due, so a run that is missed or doubled changes nothing.
"""

import os
from pathlib import Path
from typing import Any

from celery import Celery
from django.conf import settings
from kombu import Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.production")

SECONDS = 1.0
MINUTES = 60.0


def every(period: float, task: str) -> dict[str, Any]:
    """A task run so often; one that could not start before the next is due is dropped, for the next does its work."""
    return {"task": task, "schedule": period, "options": {"expires": period}}


BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    # Somebody waits for these, should the message that asked for them be lost.
    "charge due orders": every(5 * SECONDS, "payments.tasks.charge_due_orders"),
    "process uploads": every(10 * SECONDS, "media.tasks.process_uploaded"),
    "bring refunds to the gateway": every(15 * SECONDS, "payments.tasks.refund_due"),
    "handle webhooks": every(15 * SECONDS, "payments.tasks.gateway_events_due"),
    "call off ended payments": every(30 * SECONDS, "payments.tasks.void_due"),
    "publish scheduled posts": every(10 * SECONDS, "content.tasks.publish_due_posts"),
    "score trending posts": every(30 * SECONDS, "content.tasks.rescore_trending"),
    # Nobody waits, but the minute is promised.
    "expire unpaid subscriptions": every(1 * MINUTES, "subscriptions.tasks.expire_unpaid_subscriptions"),
    "end cancelled subscriptions": every(1 * MINUTES, "subscriptions.tasks.end_cancelled_subscriptions"),
    "renew subscriptions": every(1 * MINUTES, "subscriptions.tasks.renew_subscriptions"),
    "give up unpaid renewals": every(1 * MINUTES, "subscriptions.tasks.give_up_unpaid_renewals"),
    "expire orders": every(1 * MINUTES, "payments.tasks.expire_orders"),
    # Nobody waits within the day.
    "clear creators' earnings": every(10 * MINUTES, "payments.tasks.clear_due"),
    # Housekeeping.
    "give up uploads that never came": every(10 * MINUTES, "media.tasks.expire_uploads"),
    "collect unused media": every(10 * MINUTES, "media.tasks.collect_garbage"),
    "sweep stray files": every(60 * MINUTES, "media.tasks.sweep_stray_files"),
    "hold media against the store": every(24 * 60 * MINUTES, "media.tasks.verify_stored_files"),
    "forget old webhooks": every(60 * MINUTES, "payments.tasks.forget_gateway_events"),
    "prune the inbox": every(60 * MINUTES, "eventbus.tasks.prune_inbox"),
    "keep the journal's partitions": every(60 * MINUTES, "eventbus.tasks.keep_journal_partitions"),
    "prune idempotency records": every(60 * MINUTES, "api.tasks.prune_idempotency_records"),
    "forget expired tokens": every(60 * MINUTES, "accounts.tasks.forget_expired_tokens"),
    "forget expired sessions": every(60 * MINUTES, "accounts.tasks.forget_expired_sessions"),
}

QUEUES = ("celery", "media", "transcoding")
ROUTES = {
    "media.tasks.process_media": {"queue": "media"},
    "media.tasks.transcode_media": {"queue": "transcoding"},
}

FILESYSTEM_FOLDERS = {
    "data_folder_in": "queue",
    "data_folder_out": "queue",
    "processed_folder": "processed",
    "control_folder": "control",
}


def filesystem_transport(directory: str) -> dict[str, str]:
    """Where messages lie when there is no Redis; the folders are made, for kombu expects them."""
    folders = {option: Path(directory) / name for option, name in FILESYSTEM_FOLDERS.items()}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    return {option: str(folder) for option, folder in folders.items()}


app = Celery("tributary")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.beat_schedule = BEAT_SCHEDULE
# A worker that is told nothing takes from all of them; one for `transcoding` alone keeps long work from the rest.
app.conf.task_queues = [Queue(name) for name in QUEUES]
app.conf.task_routes = ROUTES
if settings.CELERY_BROKER_URL.startswith("filesystem://"):
    app.conf.broker_transport_options = filesystem_transport(settings.CELERY_FILESYSTEM_DIRECTORY)
app.autodiscover_tasks()
