"""The checkout as the rules see it: its files, their syntax trees, what they import."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("subscriptions", "payments", "content", "media")
PLATFORM = ("config", *ROOMS, "accounts", "api", "eventbus")
FOLDERS = (*PLATFORM, "devstack", "deploy", "benchmarks", "tests")


@cache
def files() -> tuple[Path, ...]:
    """Every file that is tracked or would be: what .gitignore names is left out."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(sorted({ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()}))


def python_files(*folders: str) -> list[Path]:
    """The Python files below these top folders, migrations left out: Django writes those."""
    return [
        file
        for file in files()
        if file.suffix == ".py" and file.relative_to(ROOT).parts[0] in folders and "migrations" not in file.parts
    ]


def module_files(room: str, name: str) -> list[Path]:
    """`room/name.py`, or every file of the package `room/name/`."""
    return [file for file in python_files(room) if file.relative_to(ROOT / room).with_suffix("").parts[0] == name]


@cache
def tree(file: Path) -> ast.Module:
    """The file's syntax tree."""
    return ast.parse(file.read_text(), filename=str(file))


def functions(file: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function in the file, methods and inner ones too."""
    return [node for node in ast.walk(tree(file)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def classes(file: Path) -> list[ast.ClassDef]:
    """Every class in the file."""
    return [node for node in ast.walk(tree(file)) if isinstance(node, ast.ClassDef)]


def imports(file: Path) -> Iterator[tuple[int, str, str]]:
    """Line, module and name of each import; the name is empty for `import module`."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, node.module or "", alias.name) for alias in node.names)


def calls(file: Path, name: str) -> list[ast.Call]:
    """Every call of a function by its plain name."""
    return [
        node
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ]


def dotted(node: ast.expr) -> str:
    """`a.b.c` as text, whatever it is called with; empty for what is no name."""
    if isinstance(node, ast.Call):
        return dotted(node.func)
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def place(file: Path, line: int = 0) -> str:
    """How a message names a line."""
    name = str(file.relative_to(ROOT))
    return f"{name}:{line}" if line else name
