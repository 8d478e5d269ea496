"""Writing the books: each movement of money once, in the transaction that makes it true.

Callers hold the order's lock, so no two of them write about one order at once; the unique constraint on a
transaction's source is what refuses a second capture, clearing or refund of the same.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from payments.fees import Split
from payments.models.disputes import Dispute
from payments.models.ledger import LedgerAccount, LedgerEntry, LedgerTransaction
from payments.models.orders import PaymentOrder
from payments.models.refunds import Refund
from payments.services.balances import left_of
from payments.services.locking import lock_order

Account = LedgerAccount.Kind
Source = LedgerTransaction.SourceType
Kind = LedgerTransaction.Kind


@dataclass(frozen=True, slots=True)
class Line:
    """So much into an account, or out of it when negative; one of nothing is not written."""

    account: str
    amount: int
    owner_id: UUID | None = None


def book_capture(order: PaymentOrder) -> LedgerTransaction:
    """The payer's money came: the creator's part waits to be cleared."""
    return post(
        order,
        source=(Source.ORDER, order.id),
        kind=Kind.CAPTURE,
        at=order.completed_at or timezone.now(),
        lines=[
            Line(Account.PAYER_CLEARING, -order.amount),
            Line(Account.CREATOR_PENDING, order.creator_net_amount, order.payee_id),
            Line(Account.PLATFORM_REVENUE, order.platform_fee_amount),
            Line(Account.PROCESSOR_FEE, order.processor_fee_amount),
        ],
    )


def book_refund(order: PaymentOrder, refund: Refund) -> LedgerTransaction:
    """Money went back to the payer: each part gives what the refund took of it."""
    return post(
        order,
        source=(Source.REFUND, refund.id),
        kind=Kind.REFUND,
        at=refund.finished_at or timezone.now(),
        lines=[
            Line(Account.PAYER_CLEARING, refund.amount),
            Line(creator_account_of(order), -refund.shares.creator_net, order.payee_id),
            *platform_lines(refund.shares),
        ],
    )


def book_refund_failed(order: PaymentOrder, refund: Refund) -> LedgerTransaction:
    """The payer's bank sent the money back: each part has again what the refund took of it."""
    booked = LedgerEntry.objects.filter(transaction__source_id=refund.id, transaction__kind=Kind.REFUND)
    return post(
        order,
        source=(Source.REFUND, refund.id),
        kind=Kind.REFUND_FAILED,
        at=timezone.now(),
        lines=[
            Line(
                creator_account_of(order) if entry.account.owner_id else entry.account.kind,
                -entry.amount,
                entry.account.owner_id,
            )
            for entry in booked.select_related("account")
        ],
    )


def book_dispute_opened(order: PaymentOrder, dispute: Dispute) -> None:
    """The creator's part of what is contested is held; a dispute that holds none of it moves nothing."""
    if dispute.creator_share:
        post(
            order,
            source=(Source.DISPUTE, dispute.id),
            kind=Kind.DISPUTE_OPENED,
            at=dispute.opened_at,
            lines=[
                Line(creator_account_of(order), -dispute.creator_share, order.payee_id),
                Line(Account.DISPUTE_HOLD, dispute.creator_share, order.payee_id),
            ],
        )


def book_dispute_won(order: PaymentOrder, dispute: Dispute) -> None:
    """The creator's part goes back to where it lay."""
    if dispute.creator_share:
        post(
            order,
            source=(Source.DISPUTE, dispute.id),
            kind=Kind.DISPUTE_WON,
            at=dispute.closed_at or timezone.now(),
            lines=[
                Line(Account.DISPUTE_HOLD, -dispute.creator_share, order.payee_id),
                Line(creator_account_of(order), dispute.creator_share, order.payee_id),
            ],
        )


def book_dispute_lost(order: PaymentOrder, dispute: Dispute) -> LedgerTransaction:
    """The bank took the money: what had gone back before is the platform's loss."""
    beyond = dispute.amount - dispute.held_amount
    shares = dispute.shares
    return post(
        order,
        source=(Source.DISPUTE, dispute.id),
        kind=Kind.DISPUTE_LOST,
        at=dispute.closed_at or timezone.now(),
        lines=[
            Line(Account.PAYER_CLEARING, dispute.amount),
            Line(Account.DISPUTE_HOLD, -shares.creator_net, order.payee_id),
            *platform_lines(replace(shares, platform_fee=shares.platform_fee + beyond)),
        ],
    )


@transaction.atomic
def clear_order(*, order_id: UUID) -> PaymentOrder:
    """Make what is left of the creator's part payable, once the time for second thoughts is over."""
    order = lock_order(order_id)
    now = timezone.now()
    if not PaymentOrder.objects.clearable(now - clearing_time()).filter(pk=order_id).exists():
        return order
    left = left_of(order).creator_net
    order.cleared_at = now
    order.save(update_fields=["cleared_at"])
    if left:
        post(
            order,
            source=(Source.ORDER, order.id),
            kind=Kind.CLEARING,
            at=now,
            lines=[
                Line(Account.CREATOR_PENDING, -left, order.payee_id),
                Line(Account.CREATOR_PAYABLE, left, order.payee_id),
            ],
        )
    return order


def post(
    order: PaymentOrder, *, source: tuple[str, UUID], kind: str, at: datetime, lines: list[Line]
) -> LedgerTransaction:
    """Write one transaction about a locked order; its lines must sum to zero, or the commit fails."""
    lines = [line for line in lines if line.amount]
    accounts = accounts_for(lines, currency=order.currency)
    source_type, source_id = source
    written = LedgerTransaction.objects.create(
        source_type=source_type, source_id=source_id, kind=kind, order=order, created_at=at
    )
    LedgerEntry.objects.bulk_create(
        LedgerEntry(
            transaction=written, account=accounts[line.account, line.owner_id], amount=line.amount, created_at=at
        )
        for line in lines
    )
    return written


def accounts_for(lines: list[Line], *, currency: str) -> dict[tuple[str, UUID | None], LedgerAccount]:
    """The accounts of these lines; missing ones are opened in the same order by all, so nobody waits in a ring."""
    wanted = {(line.account, line.owner_id) for line in lines}
    found = find_accounts(wanted, currency=currency)
    missing = sorted(wanted - found.keys(), key=str)
    if missing:
        LedgerAccount.objects.bulk_create(
            [LedgerAccount(kind=kind, owner_id=owner_id, currency=currency) for kind, owner_id in missing],
            ignore_conflicts=True,
        )
        found = find_accounts(wanted, currency=currency)
    return found


def find_accounts(
    wanted: set[tuple[str, UUID | None]], *, currency: str
) -> dict[tuple[str, UUID | None], LedgerAccount]:
    """Those of the wanted accounts that exist."""
    which = Q()
    for kind, owner_id in wanted:
        which |= Q(kind=kind, owner_id=owner_id) if owner_id else Q(kind=kind, owner_id__isnull=True)
    accounts = LedgerAccount.objects.filter(which, currency=currency)
    return {(account.kind, account.owner_id): account for account in accounts}


def creator_account_of(order: PaymentOrder) -> str:
    """Where the creator's part of an order lies."""
    return Account.CREATOR_PAYABLE if order.cleared_at else Account.CREATOR_PENDING


def platform_lines(shares: Split) -> list[Line]:
    """What platform and processor give back; a processor that keeps its fee leaves that to the platform."""
    if settings.PROCESSOR_KEEPS_FEE:
        return [Line(Account.PLATFORM_REVENUE, -(shares.platform_fee + shares.processor_fee))]
    return [
        Line(Account.PLATFORM_REVENUE, -shares.platform_fee),
        Line(Account.PROCESSOR_FEE, -shares.processor_fee),
    ]


def clearing_time() -> timedelta:
    """How long money waits before it is the creator's."""
    return timedelta(days=settings.CLEARING_DAYS)
