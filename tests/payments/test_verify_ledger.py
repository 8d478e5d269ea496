"""Each rule of verify_ledger finds the row that breaks it: somebody writes past the database's own refusals."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from payments.gateways.base import RefundFailed
from payments.models.disputes import Dispute
from payments.models.ledger import LedgerAccount, LedgerEntry, LedgerTransaction
from payments.models.orders import PaymentOrder
from payments.models.refunds import Refund
from payments.services.refunds import record_refund, refund_payment
from payments.services.verification import RULES, first_fault
from tests.payments.factories import make_tip


@pytest.fixture
def books(fan, creator, method, background):
    """One payment given back in part, one cleared, one not."""
    with background():
        orders = [make_tip(fan, creator, method).order for _ in range(3)]
    with background():
        refund_payment(order_id=orders[0].id, amount=300, reason="other", revoke_access=False, source="staff")
    return orders


@pytest.fixture
def tampering(books):
    """A cursor whose writes no trigger sees."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield cursor
        cursor.execute("SET LOCAL session_replication_role = origin")


def entry_of(order, kind, *, movement="capture"):
    return LedgerEntry.objects.get(transaction__order=order, transaction__kind=movement, account__kind=kind)


def found():
    fault = first_fault()
    return fault.rule, fault.row


def test_right_books_have_no_fault(books):
    assert first_fault() is None


def test_a_changed_entry_is_found(books, tampering):
    entry = entry_of(books[1], "creator_pending")
    LedgerEntry.objects.filter(pk=entry.pk).update(amount=901)

    assert found() == ("a transaction sums to zero in each currency", str(entry.transaction_id))
    with pytest.raises(CommandError, match=rf"sums to zero.*{entry.transaction_id} \(1 USD too much\)"):
        call_command("verify_ledger")


def test_the_first_of_several_wrong_rows_is_named(books, tampering):
    LedgerEntry.objects.filter(account__kind="creator_pending").update(amount=901)

    first = LedgerTransaction.objects.filter(kind="capture").earliest("id")
    assert found() == ("a transaction sums to zero in each currency", str(first.id))


def test_lost_entries_are_found(books, tampering):
    written = LedgerTransaction.objects.get(order=books[2])
    LedgerEntry.objects.filter(transaction=written).delete()

    assert found() == ("a transaction has entries", str(written.id))


def test_a_capture_that_was_never_booked_is_found(books, tampering):
    LedgerEntry.objects.filter(transaction__order=books[2]).delete()
    LedgerTransaction.objects.filter(order=books[2]).delete()

    assert found() == ("a captured payment is booked as it was shared out", str(books[2].id))


def test_a_capture_of_what_was_not_captured_is_found(books, tampering):
    PaymentOrder.objects.filter(pk=books[1].id).update(status="failed", completed_at=None)

    assert found() == ("a captured payment is booked as it was shared out", str(books[1].id))


def test_money_in_the_wrong_creators_account_is_found(books, tampering):
    another = LedgerAccount.objects.create(kind="creator_pending", owner_id=books[0].payer_id, currency="USD")
    LedgerEntry.objects.filter(pk=entry_of(books[1], "creator_pending").pk).update(account=another)

    assert found() == ("a captured payment is booked as it was shared out", str(books[1].id))


def test_money_moved_between_parts_is_found(books, tampering):
    LedgerEntry.objects.filter(pk=entry_of(books[1], "creator_pending").pk).update(amount=899)
    LedgerEntry.objects.filter(pk=entry_of(books[1], "platform_revenue").pk).update(amount=101)

    assert found() == ("a captured payment is booked as it was shared out", str(books[1].id))


def test_a_refund_that_was_never_booked_is_found(books, tampering):
    refund = Refund.objects.get()
    LedgerEntry.objects.filter(transaction__source_id=refund.id).delete()
    LedgerTransaction.objects.filter(source_id=refund.id).delete()

    assert found() == ("what was given back is booked as it was shared out", str(refund.id))


def test_a_refund_that_was_sent_back_and_not_booked_so_is_found(books, tampering):
    refund = Refund.objects.get()
    record_refund(refund_id=refund.id, answer=RefundFailed(gateway_refund_id="r1", code="sent_back"))
    assert first_fault() is None
    LedgerEntry.objects.filter(transaction__kind="refund_failed").delete()
    LedgerTransaction.objects.filter(kind="refund_failed").delete()

    assert found() == ("what was sent back is booked as it had been given", str(refund.id))


def test_a_refund_booked_to_the_wrong_share_is_found(books, tampering):
    refund = Refund.objects.get()
    LedgerEntry.objects.filter(pk=entry_of(books[0], "creator_pending", movement="refund").pk).update(amount=-300)
    LedgerEntry.objects.filter(pk=entry_of(books[0], "platform_revenue", movement="refund").pk).delete()

    assert found() == ("what was given back is booked as it was shared out", str(refund.id))


def test_a_payment_that_says_more_went_back_is_found(books, tampering):
    PaymentOrder.objects.filter(pk=books[0].id).update(refunded_amount=301)

    assert found() == ("what a payment says was given back is what its refunds gave", str(books[0].id))


def test_a_clearing_that_was_never_booked_is_found(books, tampering):
    PaymentOrder.objects.filter(pk=books[1].id).update(cleared_at=books[1].created_at)

    assert found() == ("cleared money is payable and nothing of it pending", str(books[1].id))


def test_a_clearing_of_what_is_not_cleared_is_found(books, tampering):
    pending = entry_of(books[1], "creator_pending").account
    payable = LedgerAccount.objects.create(kind="creator_payable", owner_id=books[1].payee_id, currency="USD")
    written = LedgerTransaction.objects.create(
        source_type="order", source_id=books[1].id, kind="clearing", order=books[1]
    )
    LedgerEntry.objects.create(transaction=written, account=pending, amount=-900)
    LedgerEntry.objects.create(transaction=written, account=payable, amount=900)

    assert found() == ("what is payable was cleared", str(books[1].id))


def test_a_creator_with_less_than_nothing_is_found(books, tampering):
    pending = entry_of(books[1], "creator_pending").account
    payable = LedgerAccount.objects.create(kind="creator_payable", owner_id=books[1].payee_id, currency="USD")
    written = LedgerTransaction.objects.create(
        source_type="order", source_id=books[1].id, kind="clearing", order=books[1]
    )
    LedgerEntry.objects.create(transaction=written, account=pending, amount=-901)
    LedgerEntry.objects.create(transaction=written, account=payable, amount=901)

    assert found() == ("no creator has less than nothing of a payment", str(books[1].id))


def test_a_dispute_that_was_booked_otherwise_is_found(books, tampering):
    dispute = Dispute.objects.create(
        order=books[1],
        gateway_dispute_id="d1",
        amount=1000,
        held_amount=1000,
        creator_share=900,
        platform_share=100,
        processor_share=0,
    )

    assert found() == ("what is disputed is booked as it was held", str(dispute.id))


def test_every_rule_has_its_test():
    source = Path(__file__).read_text()

    assert [rule for rule in RULES if f'"{rule}"' not in source] == []
