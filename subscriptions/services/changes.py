"""How a change of a locked subscription is written, counted, remembered and told: every service's last step."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from eventbus.context import current_context
from eventbus.outbox import publish
from subscriptions.events import (
    BillingRequest,
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
from subscriptions.services.requests import withdraw

UNTOLD_FIELDS = {
    "next_action_at",
    "cancel_requested_at",
    "cancelled_by",
    "cancel_reason",
    "cancel_comment",
    "payment_method_id",
    "pending_price",
}

COUNTED = ("sequence", "version", "updated_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A change of a locked subscription that is to be written and told."""

    subscription: Subscription
    change: Change
    previous_status: str
    previous_tier_id: UUID | None = None
    billing_request: BillingRequest | None = None
    refund_request: RefundRequest | None = None

    def event(self, fields: Iterable[str]) -> SubscriptionUpdated:
        """What the other rooms are told, once it is written."""
        return SubscriptionUpdated.of(
            self.subscription,
            change=self.change,
            previous_status=self.previous_status,
            changed_fields=set(fields) - UNTOLD_FIELDS,
            previous_tier_id=self.previous_tier_id,
            billing_request=self.billing_request,
            refund_request=self.refund_request,
        )


def write_update(
    subscription: Subscription,
    *,
    change: Change,
    previous_status: str,
    fields: Iterable[str],
    previous_tier_id: UUID | None = None,
    billing_request: BillingRequest | None = None,
    refund_request: RefundRequest | None = None,
) -> None:
    """Write the changed fields and publish `subscription.updated`."""
    written = tuple(fields)
    write(subscription, change=change, previous_status=previous_status, fields=written)
    step = Step(
        subscription=subscription,
        change=change,
        previous_status=previous_status,
        previous_tier_id=previous_tier_id,
        billing_request=billing_request,
        refund_request=refund_request,
    )
    publish(step.event(written))


def write_steps(steps: Sequence[Step], *, fields: Iterable[str]) -> None:
    """Write a step of each of many subscriptions, and publish them, in as many statements as for one."""
    written = tuple(fields)
    subscriptions = [step.subscription for step in steps]
    for subscription in subscriptions:
        count(subscription)
    Subscription.objects.write_each(subscriptions, [*written, *COUNTED])
    SubscriptionTransition.objects.bulk_create(
        transition_of(step.subscription, change=step.change, from_status=step.previous_status) for step in steps
    )
    publish(*(step.event(written) for step in steps))


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
    """Save the fields with the next sequence, and remember the step; when it is the end, nothing is awaited longer."""
    count(subscription)
    subscription.save(update_fields=[*fields, *COUNTED])
    remember(subscription, change=change, from_status=previous_status)
    if subscription.is_ended:
        withdraw(subscription)


def count(subscription: Subscription) -> None:
    """One change more."""
    subscription.sequence += 1
    subscription.version += 1
    subscription.updated_at = timezone.now()


def remember(subscription: Subscription, *, change: str, from_status: str) -> None:
    """Append the step to the subscription's history."""
    transition_of(subscription, change=change, from_status=from_status).save(force_insert=True)


def transition_of(subscription: Subscription, *, change: str, from_status: str) -> SubscriptionTransition:
    """The step as history keeps it, with who acts and what caused it; not saved yet."""
    context = current_context()
    return SubscriptionTransition(
        subscription=subscription,
        sequence=subscription.sequence,
        from_status=from_status,
        to_status=subscription.status,
        change=change,
        actor=context.actor,
        causation_event_id=context.causation_id,
        at=subscription.updated_at,
    )
