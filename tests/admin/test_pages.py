"""Every page of the admin, with rows on it: it opens, it can be searched and filtered, and it asks few questions."""

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from uuid_utils.compat import uuid7

from tests.admin.rows import MAKERS

admin.autodiscover()
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
EDITABLE = {"accounts.User", "accounts.CreatorProfile", "auth.Group", "eventbus.BreakerRule"}
DELETABLE = {"auth.Group", "eventbus.BreakerRule"}


def address(model, page, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def models_of(app):
    return [model for model in MODELS if model._meta.app_label == app]


def queries_of(client, path):
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert client.get(path).status_code == 200
    return len(queries)


def test_every_registered_model_is_looked_at():
    assert {model._meta.app_label for model in MODELS} == set(MAKERS)
    assert len(MODELS) > 40


@pytest.mark.parametrize("app", MAKERS)
def test_the_pages_of_an_app_open_with_rows(office, app):
    MAKERS[app]()

    for model in models_of(app):
        row = model._default_manager.first()
        assert row is not None, f"there is no {model._meta.label} to look at"
        listed = office.get(address(model, "changelist"))
        assert listed.status_code == 200, model
        assert listed.context["cl"].result_count >= 1, model
        assert office.get(address(model, "change", row.pk)).status_code == 200, model
        assert office.get(address(model, "history", row.pk)).status_code == 200, model


@pytest.mark.parametrize("app", MAKERS)
def test_every_filter_and_every_order_of_an_app_works(office, app):
    MAKERS[app]()

    for model in models_of(app):
        listing = address(model, "changelist")
        shown = office.get(listing).context["cl"]
        queries = [choice["query_string"] for spec in shown.filter_specs for choice in spec.choices(shown)]
        orders = [f"?o={number}" for number in range(1, len(shown.list_display))]
        assert [query for query in queries + orders if office.get(listing + query).status_code != 200] == [], model


@pytest.mark.parametrize("app", MAKERS)
def test_searching_finds_a_row_by_its_id_and_nothing_by_nonsense(office, app):
    MAKERS[app]()
    MAKERS[app]()

    for model in models_of(app):
        page = admin.site.get_model_admin(model)
        if not page.search_fields and not getattr(page, "search_ids", ()):
            continue
        listing = address(model, "changelist")
        for nonsense in (str(uuid7()), "no-such-words", "0", "%_\\'\""):
            answer = office.get(listing, {"q": nonsense})
            assert answer.status_code == 200, model
            if nonsense not in {"0", "%_\\'\""}:
                assert answer.context["cl"].result_count == 0, (model, nonsense)
        for name in getattr(page, "search_ids", ()):
            value = model._default_manager.filter(**{f"{name}__isnull": False}).values_list(name, flat=True).first()
            if value is not None:
                found = office.get(listing, {"q": str(value)}).context["cl"].queryset
                assert found.filter(**{name: value}).exists(), (model, name)


@pytest.mark.parametrize("app", MAKERS)
def test_a_long_list_asks_no_more_than_a_short_one(office, app):
    MAKERS[app]()
    office.get(reverse("admin:index"))
    listings = [address(model, "changelist") for model in models_of(app)]
    few = {listing: queries_of(office, listing) for listing in listings}

    for _ in range(19):
        MAKERS[app]()

    many = {listing: queries_of(office, listing) for listing in listings}
    assert many == few
    assert max(few.values()) <= 12


@pytest.mark.parametrize("app", MAKERS)
def test_what_services_write_is_not_written_by_hand(office, app):
    MAKERS[app]()

    for model in models_of(app):
        if model._meta.label in EDITABLE:
            continue
        row, before = model._default_manager.first(), model._default_manager.count()
        assert office.get(address(model, "add")).status_code == 403, model
        assert office.post(address(model, "add"), {}).status_code == 403, model
        assert office.post(address(model, "change", row.pk), {}).status_code == 403, model
        assert b"delete_selected" not in office.get(address(model, "changelist")).content, model
        assert model._default_manager.count() == before, model


@pytest.mark.parametrize("app", MAKERS)
def test_nothing_but_groups_is_deleted_by_hand(office, app):
    MAKERS[app]()

    for model in models_of(app):
        row = model._default_manager.order_by("-pk").first()
        status = office.post(address(model, "delete", row.pk), {"post": "yes"}).status_code
        is_there = model._default_manager.filter(pk=row.pk).exists()
        assert (status, is_there) == ((302, False) if model._meta.label in DELETABLE else (403, True)), model


@pytest.mark.parametrize("app", MAKERS)
def test_staff_without_permissions_see_nothing(client, newcomer, app):
    MAKERS[app]()
    client.force_login(newcomer)

    assert client.get(reverse("admin:index")).context["app_list"] == []
    for model in models_of(app):
        row = model._default_manager.first()
        assert client.get(address(model, "changelist")).status_code == 403, model
        assert client.get(address(model, "change", row.pk)).status_code == 403, model
        assert client.get(address(model, "history", row.pk)).status_code == 403, model
