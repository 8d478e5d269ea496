"""What a subscription is paid with, and trying again with it."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from subscriptions.events import BillingRequest, Change
from subscriptions.exceptions import InvalidTransitionError, NotPastDueError
from subscriptions.models.history import RequestedPayment
from subscriptions.models.subscriptions import Subscription
from subscriptions.services.changes import write_update
from subscriptions.services.locking import lock, require_no_block
from subscriptions.services.requests import as_told, awaited_by, next_cycle_request


@transaction.atomic
def change_payment_method(*, subscription_id: UUID, payment_method_id: UUID) -> Subscription:
    """Pay with another method from now on, and at once what is past due; across a block nothing more is paid."""
    subscription = lock(subscription_id)
    if subscription.is_ended:
        raise InvalidTransitionError("The subscription is over")
    if subscription.status == Subscription.Status.PAST_DUE:
        require_no_block(subscription)

    subscription.payment_method_id = payment_method_id
    tell_method(subscription)
    return subscription


@transaction.atomic
def retry_payment(*, subscription_id: UUID) -> Subscription:
    """Try at once to charge what is past due."""
    subscription = lock(subscription_id)
    if subscription.status != Subscription.Status.PAST_DUE:
        raise NotPastDueError
    require_no_block(subscription)

    tell_method(subscription)
    return subscription


def tell_method(subscription: Subscription) -> None:
    """Tell payments what to charge what it awaits with: the request is told again under its own id."""
    request = request_to_repeat(subscription)
    write_update(
        subscription,
        change=Change.PAYMENT_METHOD_UPDATED,
        previous_status=subscription.status,
        fields=("payment_method_id", "next_action_at"),
        billing_request=request,
    )


def request_to_repeat(subscription: Subscription) -> BillingRequest | None:
    """What is awaited, or, past due after a final failure, the question put anew; nothing when nothing is due."""
    request = awaited_by(subscription)
    if request is None and subscription.status == Subscription.Status.PAST_DUE:
        request = ask_again(subscription)
    return as_told(request, payment_method_id=subscription.payment_method_id) if request else None


def ask_again(subscription: Subscription) -> RequestedPayment:
    """Put the question for the due cycle once more, to be charged at once."""
    request = next_cycle_request(subscription)
    request.due_at = timezone.now()
    request.save(force_insert=True)
    subscription.plan(request_expires_at=request.expires_at)
    return request
