import pytest
from django.db import DatabaseError, connection
from django.test import Client


def test_the_process_is_alive_without_a_database(client):
    response = client.get("/healthz")  # this test may not touch the database, and would fail if it did

    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert "no-cache" in response["Cache-Control"]


@pytest.mark.django_db
def test_ready_when_the_database_and_the_cache_answer(client):
    response = client.get("/readyz")

    assert (response.status_code, response.json()) == (200, {"status": "ok", "database": "ok", "cache": "ok"})


@pytest.mark.django_db
def test_not_ready_names_what_is_missing(client, monkeypatch):
    def refuse():
        raise DatabaseError("secret address")

    monkeypatch.setattr(connection, "cursor", refuse)
    response = client.get("/readyz")

    assert (response.status_code, response.json()) == (
        503,
        {"status": "unavailable", "database": "DatabaseError", "cache": "ok"},
    )


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_it_is_only_asked_never_told(client, path):
    assert client.post(path).status_code == 405


@pytest.mark.parametrize("method", ["get", "post", "delete"])
@pytest.mark.parametrize("debug", [False, True])
def test_where_nothing_is_a_developer_gets_the_answer_of_production(settings, method, debug):
    settings.DEBUG = debug

    response = getattr(Client(enforce_csrf_checks=True), method)("/api/v1/posts/not-an-id/publish")

    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")
    assert response.json()["code"] == "not_found"
