"""Operators see without reading logs that files wait, and that files are lost."""

import json
from datetime import timedelta
from unittest.mock import patch

import pytest
from django.core.management import CommandError, call_command
from uuid_utils.compat import uuid7

from media import storage, tasks
from media.services import processing
from media.services.verification import verify_all
from tests.media.factories import processed, scanning

pytestmark = pytest.mark.django_db


def figures(capsys):
    return json.loads(capsys.readouterr().out)


def test_the_figures_tell_what_waits_and_what_is_at_work(capsys, time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    processed()
    for _ in range(3):
        scanning(owner_id=uuid7())
    with patch.object(processing, "work_on"):
        processing.process_in_turn(kinds=["image"])
    time_machine.shift(timedelta(seconds=90))

    call_command("media_status", "--json")

    assert figures(capsys) == {
        "due": 2,
        "due_oldest_age_seconds": 90.0,
        "at_work": 1,
        "lost": 0,
        "lost_oldest_age_seconds": 0.0,
        "last_look_at": None,
        "unverified_seconds": 90.0,
    }


def test_a_lost_file_is_a_figure_and_a_red_status_until_it_is_restored(capsys, time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    asset = processed()
    with storage.open_stored(asset.storage_key) as stream:
        content = stream.read()
    storage.remove(asset.storage_key)
    verify_all()
    time_machine.shift(timedelta(hours=1))

    with pytest.raises(CommandError, match=r"1 files lack bytes: .*verify_media"):
        call_command("media_status")
    lines = capsys.readouterr().out.splitlines()
    storage.store(asset.storage_key, content)
    verify_all()
    call_command("media_status", "--json")

    assert lines == [
        "due      0, the longest for 0 s",
        "at work  0",
        "lost     1, the first for 3600 s",
        "looked   2026-05-01 12:00:00+00:00",
    ]
    assert figures(capsys)["lost"] == 0


def test_two_days_without_a_whole_look_are_a_red_status(capsys, time_machine, monkeypatch):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    processed()
    steps = []
    monkeypatch.setattr(tasks.verify_stored_files, "delay", steps.append)
    tasks.verify_stored_files()  # its second step, which finds no file left, is never made
    time_machine.shift(timedelta(days=2, seconds=1))

    with pytest.raises(CommandError, match=r"nobody has looked for lost files for 172801 s: .*beat.*verify_media"):
        call_command("media_status")
    never = capsys.readouterr().out
    tasks.verify_stored_files(steps.pop())
    call_command("media_status", "--json")
    looked = figures(capsys)
    time_machine.shift(timedelta(days=2, seconds=1))

    assert never.endswith("looked   never\n")
    assert (looked["last_look_at"], looked["unverified_seconds"]) == ("2026-05-03T12:00:01Z", 0.0)
    with pytest.raises(CommandError, match="nobody has looked"):
        call_command("media_status", "--json")


def test_where_there_are_no_files_nobody_need_look(capsys):
    call_command("media_status", "--json")

    assert figures(capsys)["unverified_seconds"] == 0.0
