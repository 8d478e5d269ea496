"""The books: what each movement of money writes, and what the database refuses."""

from datetime import timedelta
from importlib import import_module

import pytest
import time_machine
from django.apps import apps
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from payments import tasks
from payments.gateways.base import Captured
from payments.models.ledger import LedgerAccount, LedgerEntry, LedgerTransaction
from payments.models.orders import PaymentOrder
from payments.models.sandbox import SandboxCharge
from payments.services.charging import claim
from payments.services.ledger import book_capture, clear_order
from payments.services.outcomes import record_outcome
from payments.services.refunds import refund_payment
from payments.services.verification import first_fault
from tests.payments.factories import make_tip

TABLES = ["payments_ledgeraccount", "payments_ledgertransaction", "payments_ledgerentry"]


@pytest.fixture
def order(fan, creator, method, background, settings):
    """A captured tip of 1000: 200 to the platform, 50 to the processor, 750 to the creator."""
    settings.PLATFORM_FEE_BPS = 2000
    tip = make_tip(fan, creator, method)
    attempt = claim(order_id=tip.order_id)
    with background():
        record_outcome(
            attempt_id=attempt.id,
            outcome=Captured(gateway_payment_id="g1", amount=1000, currency="USD", processor_fee=50),
        )
    order = PaymentOrder.objects.get()
    known_to_the_sandbox(order)
    return order


def known_to_the_sandbox(order):
    """Let the sandbox have captured what it will be asked to give back."""
    SandboxCharge.objects.create(
        idempotency_key=f"{order.id}:1",
        gateway_payment_id="g1",
        token="tok_ok",
        amount=order.amount,
        currency=order.currency,
        status="captured",
    )


def booked(**which):
    """The entries by movement and account, oldest movement first."""
    entries = LedgerEntry.objects.filter(**which).select_related("account", "transaction")
    movements = {}
    for entry in entries.order_by("transaction__created_at", "transaction_id"):
        movements.setdefault(entry.transaction.kind, {})[entry.account.kind] = entry.amount
    return movements


def give_back(order, background, amount=None):
    with background():
        return refund_payment(order_id=order.id, amount=amount, reason="other", revoke_access=False, source="staff")


def later(**time):
    return time_machine.travel(timezone.now() + timedelta(**time), tick=False)


def test_a_capture_is_booked_with_its_parts(order, creator):
    assert booked() == {
        "capture": {"payer_clearing": -1000, "creator_pending": 750, "platform_revenue": 200, "processor_fee": 50}
    }
    written = LedgerTransaction.objects.get()
    assert (written.source_type, written.source_id, written.order_id) == ("order", order.id, order.id)
    assert written.created_at == order.completed_at
    assert LedgerAccount.objects.get(kind="creator_pending").owner_id == creator.id


@pytest.mark.parametrize(
    ("keeps", "fees"),
    [(True, {"platform_revenue": -250}), (False, {"platform_revenue": -200, "processor_fee": -50})],
)
def test_a_full_refund_takes_back_what_each_had(order, background, settings, keeps, fees):
    settings.PROCESSOR_KEEPS_FEE = keeps

    give_back(order, background)

    assert booked()["refund"] == {"payer_clearing": 1000, "creator_pending": -750, **fees}


def test_partial_refunds_add_up_to_the_whole(order, background, settings):
    settings.PROCESSOR_KEEPS_FEE = False

    for amount in (333, 1, 333):
        give_back(order, background, amount)
    give_back(order, background)

    assert LedgerTransaction.objects.filter(kind="refund").count() == 4
    for account in LedgerAccount.objects.all():
        assert account.entries.all().total() == 0, account


def test_money_that_came_too_late_comes_and_goes_in_the_books(fan, creator, method, background):
    tip = make_tip(fan, creator, method)
    attempt = claim(order_id=tip.order_id)
    PaymentOrder.objects.update(status="cancelled")
    known_to_the_sandbox(tip.order)
    with background():
        record_outcome(attempt_id=attempt.id, outcome=Captured(gateway_payment_id="g1", amount=1000, currency="USD"))

    assert sorted(booked()) == ["capture", "refund"]
    assert LedgerEntry.objects.filter(account__kind="creator_pending").total() == 0


def test_what_is_left_clears_once_the_time_is_over(order, background):
    give_back(order, background, 100)

    with later(days=6, hours=23):
        tasks.clear_due()
    assert "clearing" not in booked()
    with later(days=7, minutes=1):
        tasks.clear_due()
        tasks.clear_due()

    assert booked()["clearing"] == {"creator_pending": -675, "creator_payable": 675}
    assert LedgerTransaction.objects.filter(kind="clearing").count() == 1


def test_a_refund_after_the_clearing_comes_out_of_what_is_payable(order, background):
    with later(days=8):
        tasks.clear_due()
        give_back(order, background)

    assert booked()["refund"] == {"payer_clearing": 1000, "creator_payable": -750, "platform_revenue": -250}


def test_what_was_all_given_back_never_clears(order, background):
    give_back(order, background)

    with later(days=8):
        clear_order(order_id=order.id)

    assert "clearing" not in booked()
    order.refresh_from_db()
    assert order.cleared_at is None


def test_a_creator_without_a_share_has_no_line(fan, creator, method, background, settings):
    settings.PLATFORM_FEE_BPS = 10_000
    with background():
        make_tip(fan, creator, method)
    with later(days=8):
        tasks.clear_due()

    assert booked() == {"capture": {"payer_clearing": -1000, "platform_revenue": 1000}}
    assert PaymentOrder.objects.get().cleared_at is not None


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("statement", ["UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_the_database_refuses_to_rewrite_the_books(order, table, statement):
    balanced_at_commit()
    with connection.cursor() as cursor:
        # Tests that commit are cleaned up by TRUNCATE, so the suite has taken this trigger off.
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER ledger_is_never_emptied")
        with pytest.raises(DatabaseError, match="the ledger is append-only"), transaction.atomic():
            cursor.execute(statement.format(table))
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER ledger_is_never_emptied")

    assert LedgerEntry.objects.count() == 4


def balanced_at_commit():
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def test_the_database_refuses_a_transaction_that_does_not_sum_to_zero(order):
    balanced_at_commit()
    account = LedgerAccount.objects.get(kind="platform_revenue")

    with pytest.raises(IntegrityError, match=r"does not sum to zero: 1 USD too much"), transaction.atomic():
        written = LedgerTransaction.objects.create(
            source_type="order", source_id=order.id, kind="clearing", order=order
        )
        LedgerEntry.objects.create(transaction=written, account=account, amount=1)
        balanced_at_commit()

    assert LedgerTransaction.objects.count() == 1


def test_one_currency_does_not_make_up_for_another(order):
    euros = LedgerAccount.objects.create(kind="platform_revenue", currency="EUR")
    dollars = LedgerAccount.objects.get(kind="platform_revenue", currency="USD")

    with pytest.raises(IntegrityError, match="does not sum to zero"), transaction.atomic():
        written = LedgerTransaction.objects.create(
            source_type="order", source_id=order.id, kind="clearing", order=order
        )
        LedgerEntry.objects.create(transaction=written, account=euros, amount=5)
        LedgerEntry.objects.create(transaction=written, account=dollars, amount=-5)
        balanced_at_commit()


def test_nothing_is_added_to_a_transaction_later(order):
    written = LedgerTransaction.objects.get()
    fresh = LedgerAccount.objects.create(kind="platform_revenue", currency="EUR")

    with pytest.raises(IntegrityError, match="does not sum to zero"), transaction.atomic():
        LedgerEntry.objects.create(transaction=written, account=fresh, amount=5)
        balanced_at_commit()


def test_a_transaction_without_entries_is_refused(order):
    with pytest.raises(IntegrityError, match="has no entries"), transaction.atomic():
        LedgerTransaction.objects.create(source_type="order", source_id=order.id, kind="clearing", order=order)
        balanced_at_commit()


def test_a_movement_is_booked_once(order):
    with pytest.raises(IntegrityError, match="a_source_moves_money_once_a_kind"), transaction.atomic():
        LedgerTransaction.objects.create(source_type="order", source_id=order.id, kind="capture", order=order)


def test_a_capture_takes_a_fixed_number_of_statements_in_the_books(
    order, fan, creator, method, django_assert_num_queries
):
    tip = make_tip(fan, creator, method)
    captured = PaymentOrder.objects.get(pk=tip.order_id)
    with django_assert_num_queries(3):
        book_capture(captured)


def test_the_command_says_that_the_books_are_right(order, background, capsys):
    give_back(order, background, 100)

    call_command("verify_ledger")

    assert "The books are right" in capsys.readouterr().out


def test_what_was_captured_before_there_were_books_is_booked_as_it_happened(order, background):
    for amount in (333, 333):
        give_back(order, background, amount)
    balanced_at_commit()
    earned = LedgerEntry.objects.filter(account__kind="creator_pending")
    before, left, times = (
        booked(),
        earned.total(),
        list(LedgerTransaction.objects.order_by("id").values_list("kind", "created_at")),
    )
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table in (LedgerEntry, LedgerTransaction, LedgerAccount):
            table.objects.all().delete()
        cursor.execute("SET LOCAL session_replication_role = origin")

    import_module("payments.migrations.0003_book_the_past").book_the_past(apps, None)

    balanced_at_commit()
    assert list(LedgerTransaction.objects.order_by("created_at", "id").values_list("kind", "created_at")) == times
    assert booked()["capture"] == before["capture"]
    assert earned.all().total() == left == 750 - 250 - 250
    assert first_fault() is None
