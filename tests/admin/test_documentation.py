"""What a client reads before its first call: the schema is complete, and its page needs no other host."""

import re

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def schema():
    return SchemaGenerator().get_schema(request=None, public=True)


def operations(schema):
    return {
        (method, path): operation
        for path, item in schema["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def test_it_is_valid_openapi(schema):
    validate_schema(schema)

    assert schema["openapi"].startswith("3.")
    assert len(operations(schema)) > 50


def test_every_operation_says_in_a_line_what_it_does(schema):
    without = [place for place, operation in operations(schema).items() if not operation.get("summary")]
    long = [place for place, operation in operations(schema).items() if len(operation.get("summary", "")) > 120]

    assert without == []
    assert long == []


def test_every_operation_stands_with_its_room(schema):
    rooms = {"accounts", *settings.ROOMS}

    assert {tag for operation in operations(schema).values() for tag in operation["tags"]} == rooms
    assert operations(schema)["post", "/api/v1/tips"]["tags"] == ["payments"]
    assert operations(schema)["get", "/api/v1/feed"]["tags"] == ["content"]


def test_no_two_operations_have_the_same_id(schema):
    ids = [operation["operationId"] for operation in operations(schema).values()]

    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("method", "path", "refusals"),
    [
        ("post", "/api/v1/tips", {"400", "401", "403", "409", "413", "415", "422", "429"}),
        ("get", "/api/v1/tips/{id}", {"401", "403", "404"}),
        ("get", "/api/v1/me", {"401", "403"}),
        ("post", "/api/v1/auth/register", {"400", "409", "413", "415", "429"}),
        ("get", "/api/v1/posts/trending", {"400", "401", "403"}),
        ("get", "/api/v1/creators/{handle_or_id}", {"401", "403", "404"}),
    ],
)
def test_the_refusals_that_an_operation_can_foresee_are_told(schema, method, path, refusals):
    responses = operations(schema)[method, path]["responses"]
    told = {status for status in responses if status.startswith("4")}

    assert told == refusals
    assert all(list(responses[status]["content"]) == ["application/problem+json"] for status in told)
    assert responses["default"] == {"$ref": "#/components/responses/Problem"}


def test_the_page_takes_everything_from_this_host(client, db):
    page = client.get("/api/docs").content.decode()
    taken = re.findall(r'(?:src|href)="([^"]+)"', page)

    assert [address for address in taken if re.match(r"(https?:)?//", address)] == []
    files = [address.removeprefix("/static/") for address in taken if address.startswith("/static/")]
    assert len(files) >= 3
    assert [name for name in files if finders.find(name) is None] == []
