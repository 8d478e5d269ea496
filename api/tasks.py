"""The API's clock work."""

from celery import shared_task

from api import services


@shared_task
def prune_idempotency_records() -> int:
    """Forget the answers whose 72 hours are over."""
    pruned = 0
    while deleted := services.prune_idempotency_records():
        pruned += deleted
    return pruned
