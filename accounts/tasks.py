"""Forgetting what has expired."""

from celery import shared_task
from django.core.management import call_command


@shared_task
def forget_expired_tokens() -> None:
    """Delete refresh tokens that could not be renewed any more anyway."""
    call_command("flushexpiredtokens")


@shared_task
def forget_expired_sessions() -> None:
    """Delete sessions that are over."""
    call_command("clearsessions")
