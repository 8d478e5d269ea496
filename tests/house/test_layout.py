"""Where things lie: the same files in every room, none of them long, no drawer for odds and ends."""

import ast

import pytest

from tests.house.checkout import FOLDERS, PLATFORM, ROOMS, ROOT, files, functions, place, python_files, tree

ROOM_FILES = (
    "README.md",
    "__init__.py",
    "admin.py",
    "apps.py",
    "events.py",
    "exceptions.py",
    "handlers.py",
    "migrations/__init__.py",
    "models.py",
    "selectors.py",
    "serializers.py",
    "services.py",
    "tasks.py",
    "urls.py",
    "views.py",
)
# Accounts lies below the rooms: it tells no events and answers none.
ACCOUNTS_FILES = tuple(name for name in ROOM_FILES if name not in {"events.py", "handlers.py"})
FILE_LINES, TEST_FILE_LINES, FUNCTION_LINES = 400, 600, 40
DRAWERS = {"utils", "util", "helpers", "misc", "common", "core"}


def is_there(room: str, name: str) -> bool:
    """As a file, or as a package of the same name."""
    path = ROOT / room / name
    return path.is_file() or (name.endswith(".py") and (path.with_suffix("") / "__init__.py").is_file())


@pytest.mark.parametrize(("room", "names"), [*[(room, ROOM_FILES) for room in ROOMS], ("accounts", ACCOUNTS_FILES)])
def test_every_room_has_the_same_files(room, names):
    missing = [name for name in names if not is_there(room, name)]

    assert missing == [], f"{room} lacks {', '.join(missing)}"


def test_init_files_hold_no_code():
    filled = [place(file) for file in python_files(*FOLDERS) if file.name == "__init__.py" and file.stat().st_size]

    assert filled == [], f"__init__.py must be empty: {', '.join(filled)}"


def test_no_file_is_too_long():
    long = []
    for file in python_files(*FOLDERS):
        limit = TEST_FILE_LINES if file.is_relative_to(ROOT / "tests") else FILE_LINES
        lines = len(file.read_text().splitlines())
        if lines > limit:
            long.append(f"{place(file)} has {lines} lines of {limit}")

    assert long == [], "a long file becomes a package: " + "; ".join(long)


def test_no_function_is_too_long():
    long = [
        f"{place(file, node.lineno)} {node.name} has {lines} lines"
        for file in python_files(*(folder for folder in FOLDERS if folder != "tests"))
        for node in functions(file)
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]

    assert long == [], f"more than {FUNCTION_LINES} lines: " + "; ".join(long)


def test_there_is_no_drawer_for_odds_and_ends():
    drawers = [
        place(file)
        for file in python_files(*FOLDERS)
        if DRAWERS & {part.removesuffix(".py") for part in file.relative_to(ROOT).parts}
    ]

    assert drawers == [], f"name the file after what it does: {', '.join(drawers)}"


def test_no_room_uses_signals():
    found = [
        place(file, node.lineno)
        for file in python_files(*PLATFORM)
        for node in ast.walk(tree(file))
        if isinstance(node, ast.ImportFrom) and node.module in {"django.dispatch", "django.db.models.signals"}
    ]

    assert found == [], f"publish an event, or call the service: {', '.join(found)}"


def test_every_python_file_lies_in_a_known_folder():
    strays = [
        place(file)
        for file in files()
        if file.suffix == ".py" and file.relative_to(ROOT).parts[0] not in {*FOLDERS, "manage.py"}
    ]

    assert strays == [], f"no rule above looks at these: {', '.join(strays)}"
