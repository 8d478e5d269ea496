"""The platform in one process, at a time that the test moves."""

import pytest
import time_machine
from django.core.cache import cache

from config.celery import app
from tests.flows.world import NOW, World


@pytest.fixture
def world(db, settings, tmp_path, caplog, django_capture_on_commit_callbacks):
    """Two people on an empty platform; after the test nothing is parked, no error was logged, the books agree."""
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.MEDIA_ROOT.mkdir()
    cache.clear()
    app.loader.import_default_modules()  # a task that nobody imported cannot run where it is sent
    app.conf.task_always_eager = app.conf.task_eager_propagates = True
    try:
        with time_machine.travel(NOW, tick=True) as clock:
            made = World(django_capture_on_commit_callbacks, clock)
            yield made
            made.check()
    finally:
        app.conf.task_always_eager = app.conf.task_eager_propagates = False
        cache.clear()
    assert [record.getMessage() for record in caplog.get_records("call") if record.levelname == "ERROR"] == []


@pytest.fixture
def media_files(world, settings):
    """The files in the store now."""
    return lambda: sorted(str(path) for path in settings.MEDIA_ROOT.rglob("*") if path.is_file())
