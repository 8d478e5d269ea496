"""What no single use case shows: constraints against choices, tasks by name, the admin, the contract of events."""

import json

import pytest
from celery import current_app
from django.apps import apps
from django.contrib import admin
from django.db import models
from django.urls import reverse

from config.celery import BEAT_SCHEDULE
from eventbus.testing import published
from payments.models.orders import PaymentOrder
from payments.services import background as tasks_by_name
from tests.accounts.factories import make_user
from tests.payments.factories import make_purchase, make_tip

MODELS = list(apps.get_app_config("payments").get_models())


def status_columns():
    for model in MODELS:
        for field in model._meta.fields:
            if field.choices:
                yield pytest.param(model, field, id=f"{model.__name__}.{field.name}")


@pytest.mark.parametrize(("model", "field"), list(status_columns()))
def test_the_database_knows_every_choice_and_no_other(model, field):
    lists = [
        constraint.condition.children[0][1]
        for constraint in model._meta.constraints
        if isinstance(constraint, models.CheckConstraint)
        and [child[0] for child in constraint.condition.children if isinstance(child, tuple)] == [f"{field.name}__in"]
    ]

    assert lists == [[value for value, _ in field.choices]]


def test_every_task_that_services_name_exists():
    names = [value for name, value in vars(tasks_by_name).items() if name.isupper() and isinstance(value, str)]

    assert len(names) == 6
    assert [name for name in names if name not in current_app.tasks] == []


def test_the_clock_runs_only_tasks_that_exist():
    ours = [entry["task"] for entry in BEAT_SCHEDULE.values() if entry["task"].startswith("payments.")]

    assert {"payments.tasks.charge_due_orders", "payments.tasks.expire_orders"} <= set(ours)
    assert [name for name in ours if name not in current_app.tasks] == []


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_staff_look_and_change_nothing(client, db, model):
    client.force_login(make_user(is_staff=True, is_superuser=True))
    listing = reverse(f"admin:payments_{model._meta.model_name}_changelist")

    assert client.get(listing, {"q": "x"}).status_code == 200
    assert admin.site._registry[model].has_add_permission(None) is False
    assert admin.site._registry[model].has_change_permission(None) is False


def test_the_admin_shows_no_token(client, fan, creator, method):
    tip = make_tip(fan, creator, method)
    client.force_login(make_user(is_staff=True, is_superuser=True))

    page = client.get(reverse("admin:payments_paymentmethod_change", args=[method.id])).content.decode()
    assert method.last4 in page
    assert method.encrypted_token not in page
    assert method.token_fingerprint not in page
    order = client.get(reverse("admin:payments_paymentorder_change", args=[tip.order_id]))
    assert order.status_code == 200


def test_finance_staff_give_back_from_the_admin(client, fan, offer, method, background):
    with background():
        purchase = make_purchase(fan, offer, method)
    client.force_login(make_user(is_staff=True, is_superuser=True))

    with background():
        client.post(
            reverse("admin:payments_paymentorder_changelist"),
            {
                "action": "refund_all",
                "_selected_action": [str(purchase.order_id)],
                "confirmed": "yes",
                "reason": "Paid twice",
            },
        )

    assert PaymentOrder.objects.get().status == "refunded"


def test_events_carry_no_secret_and_no_text(fan, creator, method, background):
    with background():
        make_tip(fan, creator, method, message="for your eyes only")

    for event in published():
        body = event.encode().decode()
        for secret in ("for your eyes only", "tok_ok", fan.email, '"4242"', method.encrypted_token):
            assert secret not in body


def test_a_reader_of_other_languages_finds_the_names_it_knows(fan, creator, method, background):
    with background():
        tip = make_tip(fan, creator, method)

    completed, sent = [json.loads(event.encode()) for event in published()]
    assert completed["transactionId"] == sent["transactionId"] == str(tip.order_id)
    assert (completed["userId"], completed["type"], completed["metadata"]["tipId"]) == (str(fan.id), "tip", str(tip.id))
    assert (sent["senderId"], sent["recipientId"], sent["amount"]) == (str(fan.id), str(creator.id), 1000)
