import re

import pytest
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

pytestmark = pytest.mark.urls("tests.api.probe")


@pytest.fixture(scope="module")
def schema():
    from django.test import override_settings

    with override_settings(ROOT_URLCONF="tests.api.probe"):
        return SchemaGenerator(urlconf="tests.api.probe").get_schema(request=None, public=True)


def operations(schema):
    return [operation for path in schema["paths"].values() for operation in path.values()]


@pytest.mark.filterwarnings("ignore")
def test_it_is_openapi_and_every_operation_may_answer_with_a_problem(schema):
    validate_schema(schema)

    assert operations(schema)
    for operation in operations(schema):
        assert operation["responses"]["default"] == {"$ref": "#/components/responses/Problem"}
    problem = schema["components"]["responses"]["Problem"]["content"]
    assert list(problem) == ["application/problem+json"]


@pytest.mark.filterwarnings("ignore")
def test_the_key_is_asked_for_exactly_where_it_is_needed(schema):
    asking = {
        (method, path)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if "/probe/" in path and any(p["name"] == "Idempotency-Key" for p in operation.get("parameters", []))
    }

    assert asking == {
        ("post", "/api/v1/probe/kept"),
        ("delete", "/api/v1/probe/kept"),
        ("post", "/api/v1/probe/kept/{name}"),
        ("delete", "/api/v1/probe/kept/{name}"),
    }


def test_lists_say_how_they_are_walked(schema):
    operation = schema["paths"]["/api/v1/probe/list"]["get"]

    assert [p["name"] for p in operation["parameters"]] == ["cursor", "page_size"]


@pytest.mark.django_db
@pytest.mark.filterwarnings("ignore")
def test_both_pages_are_served_and_ask_no_other_host(client):
    page = client.get("/api/docs")

    assert page.status_code == 200
    html = page.content.decode()
    assert "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js" in html
    assert re.findall(r"""(?:src|href)\s*=\s*["'](?:https?:)?//[^"']*""", html) == []
    assert re.findall(r"https?://(?!testserver)[^\s\"']*", html) == []
    assert client.get("/api/schema").status_code == 200
