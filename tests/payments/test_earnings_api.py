"""What a creator sees of the books."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from payments import tasks
from payments.models.ledger import LedgerEntry
from payments.services.refunds import refund_payment
from tests.accounts.factories import make_creator, make_user
from tests.payments.factories import make_tip

SUMMARY, LEDGER, STATEMENT = (
    "/api/v1/me/earnings/summary",
    "/api/v1/me/earnings/ledger",
    "/api/v1/me/earnings/statement",
)
NOVEMBER = datetime(2025, 11, 12, 8, 30, tzinfo=UTC)


@pytest.fixture
def earned(fan, creator, method, background):
    """In November 1000 USD cents and 500 JPY; 300 of the cents go back; in December another 1000 cents."""
    with time_machine.travel(NOVEMBER, tick=False), background():
        tip = make_tip(fan, creator, method)
        make_tip(fan, creator, method, amount=500, currency="JPY")
    with time_machine.travel(NOVEMBER + timedelta(hours=1), tick=False), background():
        refund_payment(order_id=tip.order_id, amount=300, reason="other", revoke_access=False, source="staff")
    with time_machine.travel(NOVEMBER + timedelta(days=20), tick=False), background():
        make_tip(fan, creator, method)
    return tip


def test_the_summary_is_what_the_entries_add_up_to(as_user, creator, earned):
    usd = {"currency": "USD"}
    assert as_user(creator).get(SUMMARY).json() == [
        {
            "currency": "JPY",
            "pending": {"amount": 450, "currency": "JPY"},
            "payable": {"amount": 0, "currency": "JPY"},
            "held": {"amount": 0, "currency": "JPY"},
            "total": {"amount": 450, "currency": "JPY"},
        },
        {
            "currency": "USD",
            "pending": {"amount": 900 + 630, **usd},
            "payable": {"amount": 0, **usd},
            "held": {"amount": 0, **usd},
            "total": {"amount": 1530, **usd},
        },
    ]


def test_cleared_money_is_payable(as_user, creator, earned):
    with time_machine.travel(NOVEMBER + timedelta(days=8), tick=False):
        tasks.clear_due()

    [_, dollars] = as_user(creator).get(SUMMARY).json()
    assert (dollars["pending"]["amount"], dollars["payable"]["amount"]) == (900, 630)


def test_somebody_elses_earnings_are_not_mine(as_user, earned):
    another = as_user(make_creator())

    assert another.get(SUMMARY).json() == []
    assert another.get(LEDGER).json()["results"] == []
    rows = statement(another, month="2025-11", currency="USD")
    assert [row["movement"] for row in rows] == ["opening_balance", "closing_balance"]


@pytest.mark.parametrize("path", [SUMMARY, LEDGER, STATEMENT])
def test_who_is_no_creator_has_no_earnings(as_user, db, path):
    assert as_user(make_user()).get(path).status_code == 403


def test_the_ledger_lists_each_line_newest_first(as_user, creator, earned):
    body = as_user(creator).get(LEDGER, {"currency": "USD"}).json()

    assert [(line["movement"], line["account"], line["amount"]["amount"]) for line in body["results"]] == [
        ("capture", "creator_pending", 900),
        ("refund", "creator_pending", -270),
        ("capture", "creator_pending", 900),
    ]
    assert {line["payment_kind"] for line in body["results"]} == {"tip"}
    assert body["results"][1]["payment_id"] == str(earned.order_id)


def test_the_ledger_of_one_payment(as_user, creator, earned):
    body = as_user(creator).get(LEDGER, {"payment": str(earned.order_id)}).json()

    assert [line["amount"]["amount"] for line in body["results"]] == [-270, 900]


def test_the_ledger_is_walked_by_cursor(as_user, creator, earned):
    client, seen, url = as_user(creator), [], f"{LEDGER}?page_size=1"
    while url:
        body = client.get(url).json()
        seen += [line["id"] for line in body["results"]]
        url = body["next"]

    assert len(seen) == len(set(seen)) == LedgerEntry.objects.of_creator(creator.id).count() == 4


def test_the_ledger_of_several_accounts_is_walked_in_one_order_there_and_back(as_user, creator, earned):
    tasks.clear_due()
    client, seen = as_user(creator), []
    body = client.get(f"{LEDGER}?page_size=2").json()
    while body["next"]:
        seen += body["results"]
        body = client.get(body["next"]).json()
    seen += body["results"]
    newest_first = LedgerEntry.objects.of_creator(creator.id).order_by("-created_at", "-id")
    back = client.get(body["previous"]).json()["results"]

    assert {(line["account"], line["amount"]["currency"]) for line in seen} == {
        ("creator_pending", "USD"),
        ("creator_payable", "USD"),
        ("creator_pending", "JPY"),
        ("creator_payable", "JPY"),
    }
    assert [line["id"] for line in seen] == [str(pk) for pk in newest_first.values_list("pk", flat=True)]
    assert back == seen[-2 - len(body["results"]) : -len(body["results"])]


def test_the_ledger_takes_a_fixed_number_of_statements(as_user, creator, earned, django_assert_num_queries):
    client = as_user(creator)
    with django_assert_num_queries(1):
        client.get(LEDGER)
    with django_assert_num_queries(1):
        client.get(SUMMARY)


def statement(client, **query):
    response = client.get(STATEMENT, query)
    assert response.status_code == 200, response.content
    return list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))


def test_a_statement_opens_lists_and_closes(as_user, creator, earned):
    client = as_user(creator)

    november = statement(client, month="2025-11", currency="USD")
    assert [(row["movement"], row["amount"], row["balance"]) for row in november] == [
        ("opening_balance", "", "0.00"),
        ("capture", "9.00", "9.00"),
        ("refund", "-2.70", "6.30"),
        ("closing_balance", "", "6.30"),
    ]
    assert november[1]["payment_id"] == str(earned.order_id)
    assert (november[0]["time"], november[-1]["time"]) == ("2025-11-01T00:00:00+00:00", "2025-12-01T00:00:00+00:00")
    december = statement(client, month="2025-12", currency="USD")
    assert [row["balance"] for row in december] == ["6.30", "15.30", "15.30"]


def test_a_statement_writes_a_currency_without_decimals_as_it_is(as_user, creator, earned):
    rows = statement(as_user(creator), month="2025-11", currency="JPY")

    assert [row["balance"] for row in rows] == ["0", "450", "450"]


def test_a_statement_is_a_private_file(as_user, creator, earned):
    response = as_user(creator).get(STATEMENT, {"month": "2025-11", "currency": "USD"})

    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="statement-2025-11-USD.csv"'
    assert response["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"currency": "USD"}, 400, "validation_error"),
        ({"month": "2025-11"}, 400, "validation_error"),
        ({"month": "2025-13", "currency": "USD"}, 400, "validation_error"),
        ({"month": "0000-01", "currency": "USD"}, 400, "validation_error"),
        ({"month": "9999-12", "currency": "USD"}, 400, "validation_error"),
        ({"month": "2025-11", "currency": "usd"}, 400, "validation_error"),
        ({"month": "2025-11", "currency": "XXX"}, 422, "currency_not_supported"),
        ({"month": "2025-11", "currency": "USD", "creator": "x"}, 400, "validation_error"),
    ],
)
def test_a_statement_of_nothing_we_know_is_refused(as_user, creator, query, status, code):
    response = as_user(creator).get(STATEMENT, query)

    assert (response.status_code, response.json()["code"]) == (status, code)


def test_the_time_of_a_line_is_when_the_money_moved(as_user, creator, fan, method, background):
    with background():
        tip = make_tip(fan, creator, method)
    tip.order.refresh_from_db()

    [line] = as_user(creator).get(LEDGER).json()["results"]
    assert datetime.fromisoformat(line["created_at"]) == tip.order.completed_at <= timezone.now()
