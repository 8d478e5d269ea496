"""Content's clock work."""

from celery import shared_task

from content.services import trending


@shared_task
def rescore_trending() -> int:
    """Score every post whose signals changed since the last round; the number of them."""
    scored = 0
    while number := trending.rescore_stale():
        scored += number
    return scored
