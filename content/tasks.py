"""Content's clock work."""

import logging
import time

from celery import shared_task
from django.utils import timezone

from content import selectors
from content.services import lifecycle, trending

PUBLISH_RUN_SECONDS = 60.0  # what is left then is found again by the next run

logger = logging.getLogger(__name__)


@shared_task
def publish_due_posts() -> int:
    """Publish every scheduled post whose time has come; one that fails is logged and holds up no other."""
    end, published = time.monotonic() + PUBLISH_RUN_SECONDS, 0
    for post_id in selectors.due_ids(timezone.now()):
        if time.monotonic() > end:
            break
        try:
            published += lifecycle.publish_due_post(post_id=post_id) is not None
        except Exception:
            logger.exception("Post %s could not be published at its time", post_id)
    return published


@shared_task
def rescore_trending() -> int:
    """Score every post whose signals changed since the last round; the number of them."""
    scored = 0
    while number := trending.rescore_stale():
        scored += number
    return scored
