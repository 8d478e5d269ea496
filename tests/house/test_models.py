"""What every model has: a place in the admin, and a database that knows its statuses."""

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db import models
from django.db.models import CheckConstraint, Q

from tests.house.checkout import ROOMS

OURS = (*ROOMS, "accounts", "api", "eventbus")
STATUS_FIELDS = {"status", "state"}


def our_models() -> list[type[models.Model]]:
    """The models of the project, without Django's own tables."""
    return [
        model for label in OURS for model in apps.get_app_config(label).get_models() if not model._meta.auto_created
    ]


def allowed_values(condition: object, field: str) -> set[str]:
    """The values that a condition lists for a field, as `field__in` or one by one."""
    found: set[str] = set()
    for child in getattr(condition, "children", []):
        if isinstance(child, tuple):
            found |= values_in(child, field)
        else:
            found |= allowed_values(child, field)
    return found


def values_in(lookup: tuple[str, Any], field: str) -> set[str]:
    """The values of one lookup."""
    name, value = lookup
    if name == f"{field}__in":
        return {str(item) for item in value}
    return {str(value)} if name == field else set()


def with_statuses() -> list[tuple[type[models.Model], "models.Field[Any, Any]"]]:
    """Every table that has a status, with that field."""
    return [
        (model, field)
        for model in our_models()
        if not model._meta.proxy
        for field in model._meta.concrete_fields
        if field.name in STATUS_FIELDS and field.choices
    ]


def test_every_model_is_in_the_admin():
    admin.autodiscover()
    shown = {inline.model for page in admin.site._registry.values() for inline in page.inlines}
    hidden = [model._meta.label for model in our_models() if not admin.site.is_registered(model) and model not in shown]

    assert hidden == [], f"neither a page nor part of one: {', '.join(hidden)}"


def test_there_are_statuses_to_look_at():
    assert {model._meta.app_label for model, _ in with_statuses()} >= set(ROOMS)


def test_the_database_knows_every_status():
    unguarded = [
        f"{model._meta.label}.{field.name}"
        for model, field in with_statuses()
        if not any(
            isinstance(constraint, CheckConstraint)
            and isinstance(constraint.condition, Q)
            and allowed_values(constraint.condition, field.name) == {str(value) for value, _ in field.choices or ()}
            for constraint in model._meta.constraints
        )
    ]

    assert unguarded == [], f"no CHECK lists exactly the statuses of {', '.join(unguarded)}"


def test_no_foreign_key_leaves_its_room():
    leaving = [
        f"{model._meta.label}.{field.name}"
        for model in our_models()
        for field in model._meta.concrete_fields
        if isinstance(field, models.ForeignKey) and field.related_model._meta.app_label != model._meta.app_label
    ]

    assert leaving == [], f"keep the id in a UUID column: {', '.join(leaving)}"
