import pytest

pytestmark = [pytest.mark.urls("tests.api.probe"), pytest.mark.django_db]

FAIL = "/api/v1/probe/fail/"


@pytest.mark.parametrize(
    ("name", "status", "code", "detail"),
    [
        ("domain", 418, "teapot", "It holds tea"),
        ("missing", 404, "not_found", "Not Found"),
        ("not-found", 404, "not_found", "Not Found"),
        ("forbidden", 403, "permission_denied", "You do not have permission to perform this action."),
        ("database", 503, "unavailable", "The service cannot answer now; try again shortly."),
        ("unforeseen", 500, "internal_error", "Internal Server Error"),
    ],
)
def test_every_failure_is_a_problem_with_a_code(client, name, status, code, detail):
    response = client.get(FAIL + name, HTTP_X_REQUEST_ID="request-0001")

    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body.pop("title")
    assert body == {
        "type": f"urn:problem:{code}",
        "status": status,
        "code": code,
        "detail": detail,
        "trace_id": "request-0001",
    }


@pytest.mark.parametrize(
    ("name", "errors"),
    [("validation", {"non_field_errors": ["Broken."]}), ("django-validation", {"name": ["Too long."]})],
)
def test_validation_names_the_fields(client, name, errors):
    response = client.get(FAIL + name)

    body = response.json()
    assert (response.status_code, body["code"], body["errors"]) == (400, "validation_error", errors)


def test_a_rate_says_when_to_come_back(client):
    response = client.get(FAIL + "throttled")

    assert (response.status_code, response.json()["code"], response["Retry-After"]) == (429, "rate_limited", "5")


@pytest.mark.parametrize(
    ("method", "path", "options", "expected"),
    [
        ("get", "probe/nowhere", {}, (404, "not_found")),
        ("delete", "probe/plain", {}, (405, "method_not_allowed")),
        ("get", "probe/plain", {"HTTP_ACCEPT": "text/html"}, (406, "not_acceptable")),
        ("post", "probe/plain", {"data": "a=1", "content_type": "text/plain"}, (415, "unsupported_media_type")),
        ("post", "probe/plain", {"data": "{", "content_type": "application/json"}, (400, "malformed_json")),
        ("get", "probe/closed", {}, (401, "not_authenticated")),
    ],
)
def test_http_itself_refuses_in_the_same_form(client, method, path, options, expected):
    response = getattr(client, method)(f"/api/v1/{path}", **options)

    assert (response.status_code, response.json()["code"]) == expected
    assert response["Content-Type"] == "application/problem+json"


def test_a_view_that_says_nothing_is_closed_to_everybody(me):
    response = me.get("/api/v1/probe/closed")

    assert (response.status_code, response.json()["code"]) == (403, "permission_denied")


def test_outside_the_api_a_page_is_a_page(client, settings):
    settings.DEBUG = False

    assert client.get("/nowhere")["Content-Type"].startswith("text/html")


def test_a_method_override_overrides_nothing(me):
    response = me.post("/api/v1/probe/plain", {"_method": "DELETE"}, HTTP_X_HTTP_METHOD_OVERRIDE="DELETE")

    assert response.json() == {"data": {"_method": "DELETE"}}
