"""The staff's pages: they open, nothing is edited by hand, actions go through the services."""

import pytest
from django.contrib import admin
from django.urls import reverse

from accounts.models import User
from eventbus.testing import published
from subscriptions.events import CancelledBy, SubscriptionCancelled, TierUpdated
from subscriptions.models.history import (
    ReceivedPayment,
    RequestedPayment,
    SubscriptionPeriod,
    SubscriptionTransition,
)
from subscriptions.models.subscriptions import Subscription
from subscriptions.models.tiers import Tier, TierPrice

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
