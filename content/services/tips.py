"""What readers tipped for a post, as payments told it."""

from uuid import UUID

from django.db import transaction

from content.models.projections import PostTip


@transaction.atomic
def record_tip(*, tip_id: UUID, post_id: UUID, sender_id: UUID, amount: int, currency: str) -> None:
    """Count a tip for the post, once; the post need not be known or there any more."""
    tip = PostTip(tip_id=tip_id, post_id=post_id, sender_id=sender_id, amount=amount, currency=currency)
    PostTip.objects.bulk_create([tip], ignore_conflicts=True)


@transaction.atomic
def record_tip_refund(
    *, tip_id: UUID, post_id: UUID, sender_id: UUID, amount: int, currency: str, refunded_total: int
) -> None:
    """Count what was given back of a tip, also of one that has not been told yet; the largest total holds."""
    record_tip(tip_id=tip_id, post_id=post_id, sender_id=sender_id, amount=amount, currency=currency)
    PostTip.objects.filter(pk=tip_id, refunded_amount__lt=refunded_total).update(refunded_amount=refunded_total)
