"""docs/add-an-event.md works: its blocks are put into a copy of the project, its commands are run there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.checkout import ROOT, files

PAGE = (ROOT / "docs" / "add-an-event.md").read_text()
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EDITS = [(name, text) for language, name, text in BLOCK.findall(PAGE) if language == "diff"]
NEW_FILES = [(name, text) for language, name, text in BLOCK.findall(PAGE) if language == "python"]
NODE_TOOLS = ["tests/house/asyncapi/node_modules"]
COMMANDS = [line for language, _, text in BLOCK.findall(PAGE) if language == "bash" for line in text.splitlines()]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project as it is here, in a directory of its own."""
    for file in files():
        target = tmp_path / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    for tools in NODE_TOOLS:  # what git does not list
        if (ROOT / tools).is_dir():
            (tmp_path / tools).symlink_to(ROOT / tools)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)  # the house rules ask git for the files
    return tmp_path


def edit(file: Path, change: str) -> None:
    """Put what a block shows in the place of what it shows of the file, which must be there once."""
    lines = [(line[:1], line[1:]) for line in change.splitlines()]
    before = "\n".join(text for sign, text in lines if sign != "+") + "\n"
    after = "\n".join(text for sign, text in lines if sign != "-") + "\n"
    content = file.read_text()
    assert content.count(before) == 1, f"{file.name} holds {content.count(before)} times:\n{before}"
    file.write_text(content.replace(before, after))


def run(command: str, directory: Path) -> str:
    """The command's output; it must succeed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TEST_", "PYTEST_"))}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command.split(), cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_page_names_the_file_of_every_block_before_it() -> None:
    for name, _ in [*EDITS, *NEW_FILES]:
        assert f"`{name}`\n\n```" in PAGE


@pytest.mark.long
def test_who_follows_the_page_to_the_letter_has_an_event(copy: Path) -> None:
    for name, change in EDITS:
        edit(copy / name, change)
    for name, text in NEW_FILES:
        assert not (copy / name).exists()
        (copy / name).write_text(text)

    output = {command: run(command, copy) for command in COMMANDS}

    assert "wrote events/media.restarted/1.json" in output["python manage.py check_events --write"]
    assert output["python manage.py makemigrations --check --dry-run"] == "No changes detected\n"
    assert "media.restarted 6 partitions" in output["python manage.py sync_topics --plan"]
    assert " passed" in output[COMMANDS[-1]]
    run("ruff check .", copy)
    run("ruff format --check .", copy)
    run("lint-imports", copy)
