from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from tests.accounts.factories import make_user

pytestmark = [pytest.mark.urls("tests.api.probe"), pytest.mark.django_db]

LIST, BY_NAME = "/api/v1/probe/list", "/api/v1/probe/by-name"


@pytest.fixture
def people():
    """Seven people, three of them of the same microsecond."""
    start = timezone.now() - timedelta(days=1)
    times = [start, start, start, *(start + timedelta(microseconds=n) for n in range(1, 5))]
    return [make_user(display_name=f"P{number}", created_at=time) for number, time in enumerate(times)]


def names(response):
    return [row["display_name"] for row in response.json()["results"]]


def walk(client, url, key="next"):
    pages = []
    while url:
        response = client.get(url)
        pages.append(names(response))
        url = response.json()[key]
    return pages


def test_a_walk_gives_each_row_once_newest_first(client, people):
    assert walk(client, f"{LIST}?page_size=2") == [["P6", "P5"], ["P4", "P3"], ["P2", "P1"], ["P0"]]


def test_rows_inserted_meanwhile_disturb_nothing(client, people):
    first = client.get(f"{LIST}?page_size=3")
    make_user(display_name="newest")
    make_user(display_name="oldest", created_at=timezone.now() - timedelta(days=9))
    User.objects.filter(display_name="P3").delete()

    assert names(first) == ["P6", "P5", "P4"]
    assert walk(client, first.json()["next"]) == [["P2", "P1", "P0"], ["oldest"]]


def test_the_way_back_is_the_way_there(client, people):
    response = client.get(f"{LIST}?page_size=3")
    while response.json()["next"]:
        response = client.get(response.json()["next"])

    assert names(response) == ["P0"]
    assert walk(client, response.json()["previous"], "previous") == [["P3", "P2", "P1"], ["P6", "P5", "P4"]]


def test_a_walk_in_another_order(client, people):
    assert walk(client, f"{BY_NAME}?page_size=3") == [["P0", "P1", "P2"], ["P3", "P4", "P5"], ["P6"]]


def test_an_empty_list_has_no_neighbours(client):
    assert client.get(LIST).json() == {"next": None, "previous": None, "results": []}


def test_a_page_is_one_query_whatever_the_length_of_the_list(client, people, django_assert_num_queries):
    with django_assert_num_queries(1) as captured:
        client.get(f"{LIST}?page_size=2")

    assert "LIMIT 3" in captured[0]["sql"]
    assert "COUNT" not in captured[0]["sql"]


def test_a_page_has_at_most_100_rows(client):
    User.objects.bulk_create(User(email=f"u{n}@example.org", display_name=str(n)) for n in range(102))

    assert [len(names(client.get(LIST + query))) for query in ("", "?page_size=101", "?page_size=1000000000")] == [
        20,
        100,
        100,
    ]


@pytest.mark.parametrize("size", ["0", "-1", "x", "1.5", "", "٣", "9" * 30])
def test_a_size_that_is_no_number_is_refused(client, size):
    response = client.get(LIST, {"page_size": size})

    assert (response.status_code, response.json()["errors"]) == (
        400,
        {"page_size": ["A positive whole number is required."]},
    )


def test_a_cursor_of_ones_own_making_is_refused(client, people):
    good = client.get(f"{LIST}?page_size=2").json()["next"]
    cursor = good.split("cursor=")[1].split("&")[0]
    bad = [
        client.get(LIST, {"cursor": "x"}),
        client.get(LIST, {"cursor": ""}),
        client.get(good.replace(cursor, ("A" if cursor[0] != "A" else "B") + cursor[1:])),
        client.get(good.replace(LIST, BY_NAME)),
    ]

    assert [(r.status_code, r.json()["code"]) for r in bad] == [(400, "invalid_cursor")] * 4
