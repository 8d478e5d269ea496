"""How the rooms change things: services called by name, errors called errors, events told by services only."""

import ast
from pathlib import Path

from tests.house.checkout import (
    PLATFORM,
    ROOMS,
    ROOT,
    calls,
    classes,
    dotted,
    imports,
    module_files,
    place,
    python_files,
    tree,
)

ROOMS_WITH_SERVICES = (*ROOMS, "accounts")
CALLERS = ("views", "handlers", "tasks", "admin", "serializers")
# What only one place may import, as (module, who may).
RESERVED = (
    ("confluent_kafka", "eventbus/kafka/"),
    ("django.core.files.storage", "media/storage.py"),
    *[
        (library, "payments/gateways/")
        for library in ("stripe", "braintree", "Adyen", "paypalrestsdk", "square", "mollie", "ecpay")
    ],
)


def called_services() -> list[tuple[Path, ast.FunctionDef]]:
    """Each service function that a room's views, handlers, tasks, admin or serializers call."""
    found = []
    for room in ROOMS_WITH_SERVICES:
        wanted = {name for caller in CALLERS for file in module_files(room, caller) for name in used_of(room, file)}
        found += [
            (file, node)
            for file in module_files(room, "services")
            for node in tree(file).body
            if isinstance(node, ast.FunctionDef) and node.name in wanted
        ]
    return found


def used_of(room: str, file: Path) -> set[str]:
    """What a file takes from its room's services: names it imports, and attributes of modules it imports."""
    imported = {
        name for _, module, name in imports(file) if f"{module}.{name}.".startswith(f"{room}.services.") and name
    }
    return imported | {
        node.attr
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported
    }


def test_every_room_has_services_that_somebody_calls():
    rooms = {file.relative_to(ROOT).parts[0] for file, _ in called_services()}

    assert rooms == set(ROOMS_WITH_SERVICES)


def test_services_are_called_by_keyword():
    loose = [
        f"{place(file, node.lineno)} {node.name}"
        for file, node in called_services()
        if node.args.args or node.args.posonlyargs or node.args.vararg
    ]

    assert loose == [], f"take keyword-only arguments: {', '.join(loose)}"


def test_services_say_what_they_do_and_what_they_return():
    silent = [
        f"{place(file, node.lineno)} {node.name}"
        for file, node in called_services()
        if not ast.get_docstring(node) or node.returns is None
    ]

    assert silent == [], f"one sentence and a return type: {', '.join(silent)}"


def test_public_functions_of_services_have_a_docstring():
    silent = [
        f"{place(file, node.lineno)} {node.name}"
        for room in ROOMS_WITH_SERVICES
        for file in module_files(room, "services")
        for node in tree(file).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not ast.get_docstring(node)
    ]

    assert silent == [], f"no docstring: {', '.join(silent)}"


def test_only_services_publish():
    allowed = {file for room in ROOMS for file in module_files(room, "services")}
    elsewhere = [
        place(file, call.lineno)
        for file in python_files(*PLATFORM)
        if file not in allowed and not place(file).startswith("eventbus/")
        for call in calls(file, "publish")
    ]

    assert elsewhere == [], f"publish() belongs into a service: {', '.join(elsewhere)}"


def test_save_names_the_fields_it_writes():
    blunt = [
        place(file, node.lineno)
        for room in ROOMS_WITH_SERVICES
        for file in module_files(room, "services")
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "save"
        and not {"update_fields", "force_insert"} & {keyword.arg for keyword in node.keywords}
    ]

    assert blunt == [], f"save(update_fields=[...]) or save(force_insert=True): {', '.join(blunt)}"


def test_errors_are_called_errors():
    misnamed = [
        f"{place(file, node.lineno)} {node.name}"
        for file in python_files(*PLATFORM, "devstack")
        for node in classes(file)
        if not node.name.endswith("Error") and any(dotted(base).endswith(("Error", "Exception")) for base in node.bases)
    ]

    assert misnamed == [], f"the name of an error ends in Error: {', '.join(misnamed)}"


def test_a_reserved_library_is_imported_in_its_own_place_only():
    trespassers = [
        f"{place(file, line)} imports {module}"
        for file in python_files(*PLATFORM)
        for line, module, name in imports(file)
        for library, owner in RESERVED
        if f"{module}.{name}.".startswith(f"{library}.") and not place(file).startswith(owner)
    ]

    assert trespassers == [], "; ".join(trespassers)


WRITES = {"atomic", "bulk_create", "bulk_update", "select_for_update"}


def test_views_hold_no_transaction_and_write_no_row():
    writing = [
        f"{place(file, node.lineno)} {node.attr}"
        for room in ROOMS_WITH_SERVICES
        for name in ("views", "handlers")
        for file in module_files(room, name)
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Attribute) and node.attr in WRITES
    ]

    assert writing == [], f"that is a service's work: {', '.join(writing)}"
