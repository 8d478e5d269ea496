"""The staff's pages: they open, nothing is edited by hand, actions go through the services."""

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from accounts.models import User
from eventbus.testing import deliver, published
from subscriptions.events import (
    CancelledBy,
    CancelMode,
    Change,
    SubscriptionCancelled,
    SubscriptionUpdated,
    TierUpdated,
)
from subscriptions.models.history import (
    ReceivedPayment,
    RequestedPayment,
    SubscriptionPeriod,
    SubscriptionTransition,
)
from subscriptions.models.subscriptions import Subscription
from subscriptions.models.tiers import Tier, TierPrice
from subscriptions.services.cancellation import cancel
from tests.subscriptions.factories import failed

MODELS = [Tier, TierPrice, Subscription, SubscriptionPeriod, RequestedPayment, ReceivedPayment, SubscriptionTransition]


@pytest.fixture
def staff(clock, client, db):
    user = User.objects.create(email="staff@example.com", display_name="Staff", is_staff=True, is_superuser=True)
    client.force_login(user)
    return client


def url(model, page, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


@pytest.mark.parametrize("model", MODELS)
def test_lists_searches_and_rows_open(staff, active, model):
    row = model.objects.first()
    assert staff.get(url(model, "changelist")).status_code == 200
    assert staff.get(url(model, "changelist"), {"q": str(active.id)}).status_code == 200
    assert staff.get(url(model, "change", row.pk)).status_code == 200


@pytest.mark.parametrize("model", MODELS)
def test_nothing_is_edited_by_hand(staff, active, model):
    assert staff.get(url(model, "add")).status_code == 403
    assert staff.post(url(model, "change", model.objects.first().pk), {}).status_code == 403
    assert staff.post(url(model, "delete", model.objects.first().pk), {"post": "yes"}).status_code == 403
    assert admin.site.is_registered(model)
    assert published() == []


def test_cancelling_at_once_goes_through_the_service(staff, active):
    chosen = {"action": "cancel_at_once", "_selected_action": [str(active.pk)]}
    staff.post(url(Subscription, "changelist"), {**chosen, "confirmed": "yes", "reason": "The fan wrote to us"})

    active.refresh_from_db()
    assert active.status == Subscription.Status.CANCELLED
    assert published(SubscriptionCancelled)[0].cancelled_by is CancelledBy.STAFF


def test_archiving_goes_through_the_service_and_a_refusal_is_told(staff, tier):
    chosen = {"action": "archive", "_selected_action": [str(tier.pk)]}
    selected = {**chosen, "confirmed": "yes", "reason": "The creator asked"}
    staff.post(url(Tier, "changelist"), selected)
    refused = staff.post(url(Tier, "changelist"), selected, follow=True)

    tier.refresh_from_db()
    assert tier.status == Tier.Status.ARCHIVED
    assert len(published(TierUpdated)) == 1
    assert "The tier is archived" in refused.content.decode()


def test_the_whole_story_is_on_one_page(staff, active, fan):
    cancel(subscription_id=active.id, cancelled_by=CancelledBy.SUBSCRIBER, mode=CancelMode.AT_PERIOD_END)
    SubscriptionTransition.objects.filter(sequence=3).update(actor=str(fan.pk), causation_event_id="an-event")
    page = staff.get(url(Subscription, "change", active.pk)).content.decode()

    payment = ReceivedPayment.objects.get()
    assert f"/admin/payments/paymentorder/{payment.pk}/change/" in page
    assert [change in page for change in ("created", "activated", "cancel_scheduled")] == [True] * 3
    assert str(RequestedPayment.objects.get().pk) in page
    assert f"/admin/accounts/user/{fan.pk}/change/" in page
    assert "/admin/eventbus/inboxevent/?q=an-event" in page
    assert f"/admin/eventbus/parkedevent/?q={active.pk}" in page


def test_taking_a_cancellation_back_goes_through_the_service_and_is_remembered(staff, active):
    cancel(subscription_id=active.id, cancelled_by=CancelledBy.SUBSCRIBER, mode=CancelMode.AT_PERIOD_END)
    chosen = {"action": "resume", "_selected_action": [str(active.pk)]}
    asked = staff.post(url(Subscription, "changelist"), chosen)
    assert Subscription.objects.get().cancel_at_period_end is True
    staff.post(url(Subscription, "changelist"), {**chosen, "confirmed": "yes", "reason": "A mistake, says the fan"})

    assert asked.templates[0].name == "eventbus/confirm_action.html"
    assert Subscription.objects.get().cancel_at_period_end is False
    assert LogEntry.objects.get().change_message == "Goes on: A mistake, says the fan"
    step = SubscriptionTransition.objects.get(change="uncancelled")
    assert step.actor == str(User.objects.get(is_staff=True).pk)


def test_a_payment_is_tried_again_only_where_it_is_past_due(staff, active):
    chosen = {"action": "retry_payment", "_selected_action": [str(active.pk)], "confirmed": "yes", "reason": "Asked"}
    refused = staff.post(url(Subscription, "changelist"), chosen, follow=True)
    assert "No payment of the subscription is past due" in refused.content.decode()
    deliver(failed(active, final=False, failed_at=active.current_period_end))
    staff.post(url(Subscription, "changelist"), chosen)

    assert published(SubscriptionUpdated)[-1].change is Change.PAYMENT_METHOD_UPDATED
    assert LogEntry.objects.count() == 1
