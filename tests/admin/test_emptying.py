"""Tests that commit leave no row behind: what follows them sees a fresh database."""

import pytest
from django.apps import apps

from tests.admin.rows import MAKERS
from tests.emptying import KEPT, empty_what_was_written


def filled():
    """The tables that hold a row."""
    models = apps.get_models(include_auto_created=True)
    return {model._meta.db_table for model in models if model._base_manager.exists()}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("app", MAKERS)
def test_whatever_a_test_committed_is_gone_after_it(app):
    MAKERS[app]()
    written = filled()

    empty_what_was_written(None)

    models = {model._meta.db_table for model in apps.get_app_config(app).get_models()} - KEPT
    assert models <= written
    assert filled() == KEPT
