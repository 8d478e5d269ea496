"""How a change of a locked subscription is written, counted, remembered and told: every service's last step."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.utils import timezone

from eventbus.context import current_context
from eventbus.outbox import publish
from subscriptions.events import (
    CancelledBy,
    CancelMode,
    CancelReason,
    Change,
    RefundPolicy,
    RefundRequest,
    SubscriptionCancelled,
    SubscriptionUpdated,
)
from subscriptions.models.history import SubscriptionTransition
from subscriptions.models.subscriptions import Subscription

UNTOLD_FIELDS = {"next_action_at", "cancel_requested_at", "cancelled_by", "cancel_reason", "cancel_comment"}


def write_update(
    subscription: Subscription,
    *,
    change: Change,
    previous_status: str,
    fields: Iterable[str],
    refund_request: RefundRequest | None = None,
) -> None:
    """Write the changed fields and publish `subscription.updated`."""
    written = tuple(fields)
    write(subscription, change=change, previous_status=previous_status, fields=written)
    publish(
        SubscriptionUpdated.of(
            subscription,
            change=change,
            previous_status=previous_status,
            changed_fields=set(written) - UNTOLD_FIELDS,
            refund_request=refund_request,
        )
    )


def write_cancellation(
    subscription: Subscription,
    *,
    mode: CancelMode,
    previous_status: str,
    effective_at: datetime,
    cancelled_by: CancelledBy,
    reason: CancelReason,
    refund_policy: RefundPolicy,
    fields: Iterable[str],
) -> None:
    """Write the changed fields and publish `subscription.cancelled`."""
    change = "cancel_scheduled" if mode is CancelMode.AT_PERIOD_END else "cancelled"
    write(subscription, change=change, previous_status=previous_status, fields=fields)
    publish(
        SubscriptionCancelled.of(
            subscription,
            mode=mode,
            effective_at=effective_at,
            cancelled_by=cancelled_by,
            reason=reason,
            refund_policy=refund_policy,
        )
    )


def write(subscription: Subscription, *, change: str, previous_status: str, fields: Iterable[str]) -> None:
    """Save the fields with the next sequence, and remember the step."""
    subscription.sequence += 1
    subscription.version += 1
    subscription.updated_at = timezone.now()
    subscription.save(update_fields=[*fields, "sequence", "version", "updated_at"])
    remember(subscription, change=change, from_status=previous_status)


def remember(subscription: Subscription, *, change: str, from_status: str) -> None:
    """Append the step to the subscription's history."""
    context = current_context()
    step: dict[str, Any] = {"actor": context.actor, "causation_event_id": context.causation_id}
    SubscriptionTransition.objects.create(
        subscription=subscription,
        sequence=subscription.sequence,
        from_status=from_status,
        to_status=subscription.status,
        change=change,
        at=subscription.updated_at,
        **step,
    )
