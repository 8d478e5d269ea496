"""Proving the books: each check is one query that finds the first row which is not as it must be.

The database refuses most of these faults when they are written; this finds what somebody did to it past its
constraints, and what no constraint can see: an order and its entries that say different things.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection, transaction

BOOKED = """
booked AS (
    SELECT t.source_id, t.kind AS movement, t.order_id, account.kind AS account, account.owner_id, account.currency,
           sum(entry.amount) AS amount
    FROM payments_ledgertransaction t
    JOIN payments_ledgerentry entry ON entry.transaction_id = t.id
    JOIN payments_ledgeraccount account ON account.id = entry.account_id
    GROUP BY t.id, account.id
)
"""
CAPTURED = "('succeeded', 'partially_refunded', 'refunded', 'disputed', 'reversed')"

SENT_BACK = "(refund.status = 'failed' AND refund.creator_share IS NOT NULL)"


@dataclass(frozen=True, slots=True)
class Fault:
    """The first row that breaks a rule, and what is wrong with it."""

    rule: str
    row: str
    detail: str


def is_otherwise(movement: str, expected: str) -> str:
    """The query for the first row where the entries of a movement are not what its source says."""
    return f"""
        WITH {BOOKED}, expected AS (
            SELECT source_id, account, owner_id, currency, sum(amount) AS amount FROM ({expected}) AS lines
            GROUP BY source_id, account, owner_id, currency HAVING sum(amount) <> 0
        ), actual AS (SELECT * FROM booked WHERE movement = '{movement}')
        SELECT coalesce(expected.source_id, actual.source_id),
               format('%s %s: %s, but the entries say %s',
                      coalesce(expected.account, actual.account), coalesce(expected.currency, actual.currency),
                      coalesce(expected.amount, 0), coalesce(actual.amount, 0))
        FROM expected FULL JOIN actual
            ON actual.source_id = expected.source_id AND actual.account = expected.account
            AND actual.currency = expected.currency
            AND coalesce(actual.owner_id, actual.source_id) = coalesce(expected.owner_id, expected.source_id)
        WHERE expected.amount IS DISTINCT FROM actual.amount
        ORDER BY 1 LIMIT 1
    """  # noqa: S608 - put together from the constants of this file


def refunds_are_otherwise(movement: str, *, which: str, sign: str) -> str:
    """The query for the first refund, of those that went this far, whose entries are not as it was shared out."""
    return f"""
        WITH refunds AS (
            SELECT refund.id, {sign}refund.amount AS amount, {sign}refund.creator_share AS creator_share,
                   o.payee_id, o.currency
            FROM payments_refund refund JOIN payments_paymentorder o ON o.id = refund.order_id
            WHERE {which} AND refund.source <> 'dispute'
        ), booked AS (
            SELECT t.source_id,
                   sum(entry.amount) FILTER (WHERE account.kind = 'payer_clearing') AS to_payer,
                   coalesce(sum(entry.amount) FILTER (WHERE account.owner_id IS NOT NULL), 0) AS from_creator,
                   bool_and(account.owner_id IS NULL OR account.owner_id = o.payee_id) AS is_theirs,
                   bool_and(account.currency = o.currency) AS is_one_currency
            FROM payments_ledgertransaction t
            JOIN payments_paymentorder o ON o.id = t.order_id
            JOIN payments_ledgerentry entry ON entry.transaction_id = t.id
            JOIN payments_ledgeraccount account ON account.id = entry.account_id
            WHERE t.kind = '{movement}' GROUP BY t.id
        )
        SELECT coalesce(refunds.id, booked.source_id),
               format('%s back and %s of it the creator''s, but the entries say %s and %s',
                      coalesce(refunds.amount, 0), coalesce(refunds.creator_share, 0),
                      coalesce(booked.to_payer, 0), -coalesce(booked.from_creator, 0))
        FROM refunds FULL JOIN booked ON booked.source_id = refunds.id
        WHERE refunds.amount IS DISTINCT FROM booked.to_payer
            OR -refunds.creator_share IS DISTINCT FROM booked.from_creator
            OR NOT booked.is_theirs OR NOT booked.is_one_currency
        ORDER BY 1 LIMIT 1
    """  # noqa: S608 - put together from the constants of this file


RULES: Mapping[str, str] = {
    "a transaction sums to zero in each currency": """
        SELECT entry.transaction_id, format('%s %s too much', sum(entry.amount), account.currency)
        FROM payments_ledgerentry entry JOIN payments_ledgeraccount account ON account.id = entry.account_id
        GROUP BY entry.transaction_id, account.currency HAVING sum(entry.amount) <> 0
        ORDER BY 1 LIMIT 1
    """,
    "a transaction has entries": """
        SELECT t.id, format('%s of %s %s', t.kind, t.source_type, t.source_id)
        FROM payments_ledgertransaction t
        WHERE NOT EXISTS (SELECT FROM payments_ledgerentry entry WHERE entry.transaction_id = t.id)
        ORDER BY 1 LIMIT 1
    """,
    "a captured payment is booked as it was shared out": is_otherwise(
        "capture",
        f"""
        SELECT o.id AS source_id, line.* FROM payments_paymentorder o CROSS JOIN LATERAL (VALUES
            ('payer_clearing', NULL::uuid, o.currency, -o.amount),
            ('creator_pending', o.payee_id, o.currency, o.creator_net_amount),
            ('platform_revenue', NULL, o.currency, o.platform_fee_amount),
            ('processor_fee', NULL, o.currency, o.processor_fee_amount)
        ) AS line (account, owner_id, currency, amount) WHERE o.status IN {CAPTURED}
        """,  # noqa: S608 - a constant of this file
    ),
    "what was given back is booked as it was shared out": refunds_are_otherwise(
        "refund", which=f"(refund.status = 'succeeded' OR {SENT_BACK})", sign="+"
    ),
    "what was sent back is booked as it had been given": refunds_are_otherwise(
        "refund_failed", which=SENT_BACK, sign="-"
    ),
    "what is disputed is booked as it was held": """
        WITH expected AS (
            SELECT id AS source_id, movement.* FROM payments_dispute dispute CROSS JOIN LATERAL (VALUES
                ('dispute_opened', creator_share, -creator_share, 0, true),
                ('dispute_won', -creator_share, creator_share, 0, status = 'won'),
                ('dispute_lost', -creator_share, 0, amount, status = 'lost')
            ) AS movement (kind, held, free, to_payer, happened)
            WHERE happened AND (held <> 0 OR to_payer <> 0)
        ), booked AS (
            SELECT t.source_id, t.kind,
                   coalesce(sum(entry.amount) FILTER (WHERE account.kind = 'dispute_hold'), 0) AS held,
                   coalesce(sum(entry.amount) FILTER (
                       WHERE account.kind IN ('creator_pending', 'creator_payable')), 0) AS free,
                   coalesce(sum(entry.amount) FILTER (WHERE account.kind = 'payer_clearing'), 0) AS to_payer
            FROM payments_ledgertransaction t
            JOIN payments_ledgerentry entry ON entry.transaction_id = t.id
            JOIN payments_ledgeraccount account ON account.id = entry.account_id
            WHERE t.source_type = 'dispute' GROUP BY t.id
        )
        SELECT coalesce(expected.source_id, booked.source_id),
               format('%s should hold %s and give the payer %s, but the entries say %s and %s',
                      coalesce(expected.kind, booked.kind), coalesce(expected.held, 0), coalesce(expected.to_payer, 0),
                      coalesce(booked.held, 0), coalesce(booked.to_payer, 0))
        FROM expected FULL JOIN booked ON booked.source_id = expected.source_id AND booked.kind = expected.kind
        WHERE (expected.held, expected.free, expected.to_payer)
            IS DISTINCT FROM (booked.held, booked.free, booked.to_payer)
        ORDER BY 1 LIMIT 1
    """,
    "what a payment says was given back is what its refunds gave": """
        SELECT o.id, format('%s %s, but its refunds gave %s', o.refunded_amount, o.currency, coalesce(given.amount, 0))
        FROM payments_paymentorder o
        LEFT JOIN (
            SELECT order_id, sum(amount) AS amount FROM payments_refund WHERE status = 'succeeded' GROUP BY order_id
        ) given ON given.order_id = o.id
        WHERE o.refunded_amount <> coalesce(given.amount, 0)
        ORDER BY 1 LIMIT 1
    """,
    "no creator has less than nothing of a payment": """
        SELECT t.order_id, format('%s %s %s', account.kind, sum(entry.amount), account.currency)
        FROM payments_ledgertransaction t
        JOIN payments_ledgerentry entry ON entry.transaction_id = t.id
        JOIN payments_ledgeraccount account ON account.id = entry.account_id
        WHERE account.owner_id IS NOT NULL
        GROUP BY t.order_id, account.id HAVING sum(entry.amount) < 0
        ORDER BY 1 LIMIT 1
    """,
    "cleared money is payable and nothing of it pending": """
        SELECT o.id, format('cleared, but %s %s is still pending', sum(entry.amount), account.currency)
        FROM payments_paymentorder o
        JOIN payments_ledgertransaction t ON t.order_id = o.id
        JOIN payments_ledgerentry entry ON entry.transaction_id = t.id
        JOIN payments_ledgeraccount account ON account.id = entry.account_id
        WHERE o.cleared_at IS NOT NULL AND account.kind = 'creator_pending'
        GROUP BY o.id, account.id HAVING sum(entry.amount) <> 0
        ORDER BY 1 LIMIT 1
    """,
    "what is payable was cleared": """
        SELECT o.id, format('not cleared, but %s %s is payable', sum(entry.amount), account.currency)
        FROM payments_paymentorder o
        JOIN payments_ledgertransaction t ON t.order_id = o.id
        JOIN payments_ledgerentry entry ON entry.transaction_id = t.id
        JOIN payments_ledgeraccount account ON account.id = entry.account_id
        WHERE o.cleared_at IS NULL AND account.kind = 'creator_payable'
        GROUP BY o.id, account.id HAVING sum(entry.amount) <> 0
        ORDER BY 1 LIMIT 1
    """,
}


def first_fault() -> Fault | None:
    """The first fault by the order of the rules; None when the books are right."""
    with one_snapshot(), connection.cursor() as cursor:
        for rule, query in RULES.items():
            cursor.execute(query)
            found = cursor.fetchone()
            if found:
                return Fault(rule=rule, row=str(found[0]), detail=str(found[1]))
    return None


@contextmanager
def one_snapshot() -> Iterator[None]:
    """All queries see the same moment; inside the caller's transaction, what that one sees."""
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield
