"""Money and subscriptions by the million, written by the database; one creator and one fan have a hundredth each.

`n` is a row's number. Rows of one subscription, order or movement have the same number in each table, so they join.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, models

from payments.models.ledger import LedgerAccount, LedgerEntry, LedgerTransaction
from payments.models.methods import PaymentMethod
from payments.models.orders import PaymentAttempt, PaymentOrder
from payments.models.projections import SubscriptionRef
from payments.models.refunds import Refund
from payments.models.sales import PostPurchase, Tip
from payments.models.webhooks import GatewayEvent
from subscriptions.models.history import RequestedPayment, SubscriptionTransition
from subscriptions.models.subscriptions import Subscription
from subscriptions.models.tiers import Tier, TierPrice

CREATED = "now() - n * interval '20 seconds'"
LATER = "now() + (1 + n % 1000) * interval '1 hour'"
EARLIER = "now() - (1 + n % 60) * interval '1 minute'"
EMPTY = {
    models.UUIDField: "gen_random_uuid()",
    models.BooleanField: "false",
    models.IntegerField: "0",
    models.BigIntegerField: "0",
    models.DateTimeField: CREATED,
    models.JSONField: "'{}'",
    models.CharField: "''",
    models.TextField: "''",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Who has a hundredth of everything."""

    creator: UUID
    fan: UUID
    tier: UUID
    price: UUID


def key(name: str, number: str = "n") -> str:
    """The id of this row, in every table that knows it."""
    return f"md5('{name}' || ({number}))::uuid"


def one_in_a_hundred(at: int, value: UUID, otherwise: str) -> str:
    """The crowd's, or somebody's."""
    return f"CASE n % 100 WHEN {at} THEN '{value}'::uuid ELSE {otherwise} END"


def sometimes(condition: str, value: str, otherwise: str = "NULL") -> str:
    """A value under a condition."""
    return f"CASE WHEN {condition} THEN {value} ELSE {otherwise} END"


def write(model: type[models.Model], count: int, columns: Mapping[str, str]) -> None:
    """So many rows; what is not named is null, or empty."""
    fields = [field for field in model._meta.concrete_fields if not isinstance(field, models.AutoField)]
    unknown = columns.keys() - {field.column for field in fields}
    assert not unknown, f"{model.__name__} has no {unknown}"
    names = ", ".join(f'"{field.column}"' for field in fields)
    values = ", ".join(columns.get(str(field.column), empty(field)) for field in fields)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {model._meta.db_table} ({names}) SELECT {values} FROM generate_series(1, {count}) n"
        )


def empty(field: "models.Field[Any, Any]") -> str:
    """What stands in a column that nobody asks about."""
    if field.null:
        return "NULL"
    kind = next(kind for kind in type(getattr(field, "target_field", field)).__mro__ if kind in EMPTY)
    return EMPTY[kind]


def fill(count: int, crowd: Crowd) -> None:
    """All large tables, without triggers and foreign keys, which would take hours, and then the planner's figures."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
    fill_tiers(count // 5)
    fill_subscriptions(count, crowd)
    fill_history(count, crowd)
    fill_orders(count, crowd)
    fill_attempts(count)
    fill_notices(count)
    fill_sales(count // 5, crowd)
    fill_ledger(count, crowd)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = DEFAULT")
        cursor.execute("VACUUM (ANALYZE)")


def fill_tiers(count: int) -> None:
    """A tier and a price for each creator."""
    write(
        Tier,
        count,
        {"id": key("tier"), "creator_id": key("creator"), "name": "'Tier ' || n", "status": "'active'"}
        | {"is_public": "true", "benefits": "'[]'"},
    )
    write(
        TierPrice,
        count,
        {"tier_id": key("tier"), "interval": "'month'", "interval_count": "1", "currency": "'USD'", "active": "true"},
    )


def fill_subscriptions(count: int, crowd: Crowd) -> None:
    """Most of them running, five in a thousand due."""
    over = "n % 10 > 7"
    elsewhere = sometimes("n % 100 = 1", key("creator"), key("creator", "n % 50000"))
    write(
        Subscription,
        count,
        {
            "id": key("subscription"),
            "subscriber_id": one_in_a_hundred(1, crowd.fan, key("fan")),
            "creator_id": one_in_a_hundred(0, crowd.creator, elsewhere),
            "tier_id": one_in_a_hundred(0, crowd.tier, key("tier", "1 + n % 1000")),
            "price_id": f"'{crowd.price}'::uuid",
            "amount": "500",
            "currency": "'USD'",
            "interval": "'month'",
            "interval_count": "1",
            "status": "(ARRAY['active','active','active','active','active','trialing','past_due','incomplete',"
            "'cancelled','expired'])[1 + n % 10]",
            "cancel_at_period_end": "n % 50 = 2",
            "current_period_start": "now() - interval '29 days'",
            "current_period_end": sometimes("n % 1000 IN (2, 52)", EARLIER, "now() + interval '2 days'"),
            "next_action_at": sometimes(over, "NULL", sometimes("n % 1000 IN (2, 4, 6, 7, 52)", EARLIER, LATER)),
            "started_at": CREATED,
            "access_until": sometimes("n % 10 < 7", LATER),
            "ended_at": sometimes(over, CREATED),
            "end_reason": sometimes(over, "'term_ended'"),
        },
    )


def fill_history(count: int, crowd: Crowd) -> None:
    """What was asked for and what became of it, in both rooms; two in a thousand are awaited."""
    write(
        RequestedPayment,
        count,
        {
            "subscription_id": key("subscription"),
            "reason": "'renewal'",
            "cycle_number": "2",
            "price_id": f"'{crowd.price}'::uuid",
            "amount": "500",
            "currency": "'USD'",
            "period_start": "now()",
            "period_end": "now() + interval '1 month'",
            "state": sometimes("n % 500 = 3", "'open'", "'paid'"),
            "answered_at": sometimes("n % 500 <> 3", CREATED),
        },
    )
    write(
        SubscriptionTransition,
        count,
        {"subscription_id": key("subscription"), "sequence": "1", "to_status": "'active'", "change": "'renewed'"},
    )
    write(
        SubscriptionRef,
        count,
        {
            "subscription_id": key("subscription"),
            "subscriber_id": one_in_a_hundred(1, crowd.fan, key("fan")),
            "creator_id": one_in_a_hundred(0, crowd.creator, key("creator")),
            "status": "'active'",
            "payment_method_id": key("method"),
        },
    )


def fill_orders(count: int, crowd: Crowd) -> None:
    """Most of them paid, four in a thousand on their way, those of two weeks not cleared."""
    status = (
        "CASE n % 1000 WHEN 5 THEN 'pending' WHEN 15 THEN 'processing' WHEN 25 THEN 'requires_action' "
        "WHEN 35 THEN 'retry_scheduled' ELSE CASE WHEN n % 20 = 7 THEN 'failed' ELSE 'succeeded' END END"
    )
    paid = f"({status}) = 'succeeded'"
    write(
        PaymentOrder,
        count,
        {
            "id": key("order"),
            "kind": sometimes("n % 10 < 6", "'subscription'", sometimes("n % 10 < 8", "'tip'", "'post_purchase'")),
            "cycle_number": sometimes("n % 10 < 6", "1"),
            "reference_id": key("subscription"),
            "payer_id": one_in_a_hundred(1, crowd.fan, key("fan")),
            "payee_id": one_in_a_hundred(0, crowd.creator, key("creator", "n % 50000")),
            "amount": "1000",
            "currency": "'USD'",
            "platform_fee_amount": "100",
            "creator_net_amount": "900",
            "status": status,
            "next_trigger": "'initial'",
            "next_attempt_at": sometimes("n % 1000 IN (5, 35)", sometimes("n % 3 = 0", EARLIER, LATER)),
            "billing_expires_at": LATER,
            "first_declined_at": CREATED,
            "failure_code": "'card_declined'",
            "lock_acquired_at": sometimes("n % 1000 = 15", EARLIER),
            "expires_at": sometimes("n % 1000 IN (5, 25, 35)", sometimes("n % 7 = 0", EARLIER, LATER)),
            "completed_at": sometimes(paid, CREATED),
            "cleared_at": sometimes(f"{paid} AND n > 60480", CREATED),
            "gateway": "'sandbox'",
        },
    )


def fill_attempts(count: int) -> None:
    """One for each order, as its status says."""
    write(
        PaymentAttempt,
        count,
        {
            "order_id": key("order"),
            "number": "1",
            "trigger": "'initial'",
            "gateway_idempotency_key": "'attempt ' || n",
            "status": "CASE WHEN n % 1000 = 15 THEN 'processing' WHEN n % 1000 = 25 THEN 'requires_action' "
            "WHEN n % 1000 = 35 OR n % 20 = 7 THEN 'declined' ELSE 'succeeded' END",
            "finished_at": sometimes("n % 1000 NOT IN (15, 25)", CREATED),
        },
    )


def fill_notices(count: int) -> None:
    """What gateways told us, and what is given back."""
    write(
        Refund,
        count // 5,
        {
            "order_id": key("order"),
            "amount": "100",
            "creator_share": "100",
            "platform_share": "0",
            "processor_share": "0",
            "reason": "'other'",
            "source": "'payee'",
            "status": sometimes("n % 1000 = 1", "'pending'", "'succeeded'"),
        },
    )
    write(
        GatewayEvent,
        count,
        {
            "gateway": "'sandbox'",
            "external_id": "'event ' || n",
            "handled_at": sometimes("n % 1000 > 1", CREATED),
            "next_attempt_at": sometimes("n % 1000 = 1", EARLIER),
        },
    )


def fill_sales(count: int, crowd: Crowd) -> None:
    """Tips, posts and the cards they were paid with."""
    sold = {"order_id": key("order"), "amount": "1000", "currency": "'USD'", "status": "'completed'"}
    sold["completed_at"] = CREATED
    fan = one_in_a_hundred(1, crowd.fan, key("fan"))
    creator = one_in_a_hundred(0, crowd.creator, key("creator", "n % 50000"))
    write(Tip, count, {**sold, "sender_id": fan, "recipient_id": creator})
    write(PostPurchase, count, {**sold, "buyer_id": fan, "creator_id": creator, "post_id": key("post")})
    write(
        PaymentMethod,
        count,
        {"id": key("method"), "owner_id": key("fan"), "gateway": "'sandbox'", "status": "'active'"}
        | {"token_fingerprint": "'card ' || n"},
    )


def fill_ledger(count: int, crowd: Crowd) -> None:
    """A creator's line for each order; the books are not balanced, and nobody asks them to be."""
    own = {"kind": "'creator_pending'", "currency": "'USD'"}
    write(LedgerAccount, 1, {**own, "id": key("crowd"), "owner_id": f"'{crowd.creator}'::uuid"})
    write(LedgerAccount, 50_000, {**own, "id": key("account"), "owner_id": key("creator")})
    write(
        LedgerTransaction,
        count,
        {"id": key("movement"), "source_type": "'order'", "source_id": key("order"), "kind": "'capture'"}
        | {"order_id": key("order")},
    )
    write(
        LedgerEntry,
        count,
        {
            "transaction_id": key("movement"),
            "account_id": f"CASE n % 100 WHEN 0 THEN {key('crowd', '1')} ELSE {key('account', '1 + n % 50000')} END",
            "amount": "900",
        },
    )
