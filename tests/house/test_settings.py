"""Every environment variable is written down in .env.example, and nothing is written down that nobody reads."""

import ast
import re

from config.settings.base import env
from tests.house.checkout import ROOMS, ROOT, dotted, place, python_files, tree

EXAMPLE = ROOT / ".env.example"
# For the test suite alone; nobody sets it in a deployment.
FOR_TESTS = {"TEST_DATABASE_NAME"}
READERS = {"str", "bool", "int", "whole", "float", "list", "db_url", "json", "url", "require"}


def names_in_example() -> set[str]:
    """The variables of .env.example, the commented ones too."""
    return set(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", EXAMPLE.read_text(), flags=re.MULTILINE))


def names_in_source() -> set[str]:
    """The variables that the settings modules name in a call of `env`."""
    return {
        argument.value
        for file in python_files("config")
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Call) and dotted(node).partition(".")[2] in READERS and dotted(node).startswith("env.")
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }


def names_read() -> set[str]:
    """All of them: the computed ones, which this process has read, and those of the other settings modules."""
    return (names_in_source() | env.names_read) - FOR_TESTS


def test_the_source_names_what_production_needs():
    assert {"SECRET_KEY", "DATABASE_URL", "KAFKA_BROKERS", "ALLOWED_HOSTS"} <= names_in_source()


def test_every_variable_is_in_the_example():
    missing = sorted(names_read() - names_in_example())

    assert missing == [], f".env.example does not name {', '.join(missing)}"


def test_the_example_names_nothing_that_nobody_reads():
    unread = sorted(names_in_example() - names_read() - {"DJANGO_SETTINGS_MODULE"})

    assert unread == [], f"no setting reads {', '.join(unread)}"


def test_the_environment_is_read_by_the_settings_alone():
    readers = [
        place(file, node.lineno)
        for file in python_files(*ROOMS, "accounts", "api", "eventbus")
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Attribute) and dotted(node) in {"os.environ", "os.getenv"}
    ]

    # The supervisor hands its environment on to its children, and tells them its process id in it.
    assert [reader for reader in readers if not reader.startswith("eventbus/supervisor.py")] == []
