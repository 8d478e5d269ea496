"""What the API does with its own records."""

from django.db import transaction
from django.utils import timezone

from api.models import IdempotencyRecord

PRUNE_BATCH = 5000


@transaction.atomic
def prune_idempotency_records() -> int:
    """Delete a batch of the records whose time is over and say how many it was."""
    batch = (
        IdempotencyRecord.objects.expired(timezone.now())
        .order_by("pk")
        .select_for_update(skip_locked=True)
        .values_list("pk", flat=True)[:PRUNE_BATCH]
    )
    deleted, _ = IdempotencyRecord.objects.filter(pk__in=list(batch)).delete()
    return deleted
