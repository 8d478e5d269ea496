"""Fixtures for every test: one real PostgreSQL for the whole run, shared by its worker processes."""

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

import environ
import pytest
from django.conf import settings
from django.db import connection
from django.test import TransactionTestCase

from devstack.postgres import embedded_postgres
from tests.api.documented import no_undocumented_refusal
from tests.emptying import empty_what_was_written

pytest_plugins = ["eventbus.testing"]
LEDGER_TABLES = ("payments_ledgeraccount", "payments_ledgertransaction", "payments_ledgerentry")

_run = ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """Start an embedded PostgreSQL unless DATABASE_URL names one; pytest-django has read the settings by now."""
    os.environ.setdefault("TEST_DATABASE_NAME", f"test_tributary_{os.getpid()}")  # two runs at once do not meet
    if "DATABASE_URL" not in os.environ:
        directory = _run.enter_context(tempfile.TemporaryDirectory(prefix="tributary-tests-"))
        os.environ["DATABASE_URL"] = _run.enter_context(embedded_postgres(Path(directory) / "postgres"))
    database = settings.DATABASES["default"]
    database.update(environ.Env.db_url_config(os.environ["DATABASE_URL"]))
    database.setdefault("TEST", {})["NAME"] = os.environ["TEST_DATABASE_NAME"]


@pytest.hookimpl(trylast=True)  # after all others have put their order upon the items
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that are known to be long begin first, or the last of them would leave the other cores idle."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what this run started."""
    _run.close()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """The test database; tests that commit are cleaned up by TRUNCATE, which the books refuse everywhere else."""
    TransactionTestCase._fixture_teardown = empty_what_was_written
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for table in LEDGER_TABLES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER ledger_is_never_emptied")


@pytest.fixture(scope="session", autouse=True)
def _every_refusal_is_documented():
    """Whichever test provokes it, a view refuses for no reason that the OpenAPI document does not name."""
    with no_undocumented_refusal():
        yield
