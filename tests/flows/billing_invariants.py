"""What must be true of money and subscriptions, each by its number.

`AS_TOLD` holds for each event when it is told, `AT_ALL_TIMES` after every step, `AT_REST` when all news has been heard
and all work is done, `IN_THE_END` when time has passed as well. Each takes the platform of billing_platform.py.
"""

import json
from calendar import monthrange
from collections import Counter, defaultdict
from datetime import timedelta
from fractions import Fraction
from functools import cache
from itertools import pairwise

from django.db import connection
from django.db.models import Sum
from django.utils import timezone
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from eventbus.events import registered, spec_of
from eventbus.models import OutboxEvent, ParkedEvent
from payments.models.disputes import Dispute
from payments.models.ledger import LedgerEntry, LedgerTransaction
from payments.models.orders import PaymentOrder
from payments.models.projections import PostOffer, SubscriptionRef
from payments.models.refunds import Refund
from payments.models.sales import PostPurchase, Tip
from payments.models.sandbox import SandboxCharge, SandboxDispute, SandboxRefund
from payments.models.webhooks import GatewayEvent
from payments.selectors import earnings_of
from payments.services.verification import first_fault
from subscriptions.models.history import ReceivedPayment, RequestedPayment, SubscriptionPeriod, TrialUse
from subscriptions.models.subscriptions import Subscription
from subscriptions.periods import anchor_day_of, period_end
from subscriptions.proration import MICROSECOND
from subscriptions.timing import PATIENCE
from tests.house.checkout import ROOT

FORBIDDEN = {"text", "url", "email", "token", "message", "comment", "body", "password"}
PAID_BACK = ("refunded", "reversed")


def total(queryset, field="amount"):
    return queryset.aggregate(total=Sum(field, default=0))["total"]


def subscriptions():
    return Subscription.objects.prefetch_related("transitions", "periods", "requested_payments").order_by("pk")


# --- money ------------------------------------------------------------------------------------------------------------


def invariant_01_the_books_sum_to_zero(platform):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    by_currency = LedgerEntry.objects.order_by().values("account__currency").annotate(total=Sum("amount"))
    assert [row for row in by_currency if row["total"]] == []


def invariant_01_the_books_verify(platform):
    assert first_fault() is None


def invariant_02_an_amount_is_its_parts(platform):
    for order in PaymentOrder.objects.all():
        assert order.parts.total == order.amount
        assert min(order.platform_fee_amount, order.processor_fee_amount, order.creator_net_amount) >= 0


def invariant_03_refunds_fit_what_was_paid(platform):
    taken, given = Counter(), Counter()
    for order_id, status, amount in Refund.objects.values_list("order_id", "status", "amount"):
        taken[order_id] += amount if status in {"pending", "succeeded"} else 0
        given[order_id] += amount if status == "succeeded" else 0
    for order_id, amount in Dispute.objects.open().values_list("order_id", "held_amount"):
        taken[order_id] += amount
    for order_id, amount, refunded in PaymentOrder.objects.values_list("id", "amount", "refunded_amount"):
        assert taken[order_id] <= amount
        assert given[order_id] == refunded


def invariant_03_what_is_all_given_back_leaves_nothing(platform):
    back = PaymentOrder.objects.filter(status__in=PAID_BACK)
    for row in (
        LedgerEntry.objects.filter(transaction__order__in=back, account__owner_id__isnull=False)
        .order_by()
        .values("transaction__order")
        .annotate(total=Sum("amount"))
    ):
        assert row["total"] == 0, row


def invariant_04_a_creator_has_what_the_entries_say(platform):
    for earned in earnings_of(platform.creator.id):
        assert min(earned.pending, earned.payable, earned.held) >= 0
        orders = PaymentOrder.objects.filter(status__in=PaymentOrder.CAPTURED, currency=earned.currency)
        given = Refund.objects.filter(order__in=orders, status="succeeded")
        assert earned.total == total(orders, "creator_net_amount") - total(given, "creator_share")
        assert earned.total == LedgerEntry.objects.of_creator(platform.creator.id).total()


def invariant_05_the_gateway_agrees(platform):
    captured = total(SandboxCharge.objects.filter(status="captured"))
    returned = total(SandboxRefund.objects.filter(status="succeeded"))
    lost = total(SandboxDispute.objects.filter(status="lost"))
    orders = PaymentOrder.objects.filter(status__in=PaymentOrder.CAPTURED)
    beyond = sum(each.amount - each.held_amount for each in Dispute.objects.filter(status="lost"))
    refunds = Refund.objects.filter(status="succeeded")
    assert captured - returned - lost == total(orders) - total(refunds) - beyond
    assert captured - returned - lost == -LedgerEntry.objects.filter(account__kind="payer_clearing").total()


def invariant_06_nobody_pays_twice_for_one_thing(platform):
    kept = Counter()
    for order in PaymentOrder.objects.filter(status__in=PaymentOrder.CAPTURED):
        # What the payer's bank sent back was promised as well; a person decides about it.
        promised = total(order.refunds.all())
        kept[order.kind, order.reference_id, order.cycle_number] += promised < order.amount
    assert [debt for debt, orders in kept.items() if orders > 1] == []


def invariant_07_currencies_do_not_mix(platform):
    mixed = LedgerTransaction.objects.order_by().values("order__currency", "entries__account__currency").distinct()
    assert [row for row in mixed if row["order__currency"] != row["entries__account__currency"]] == []


def invariant_07_nothing_told_is_a_float(platform, event, raw):
    json.loads(raw, parse_float=refuse_float)


def refuse_float(written):
    raise AssertionError(f"{written} is a float")


def invariant_08_time_costs_what_its_price_says(platform):
    """Whoever changes, and when, pays each moment at its price: at most a minor unit a period is rounded away."""
    asked = {request.pk: request for request in RequestedPayment.objects.select_related("price")}
    for request in asked.values():
        assert 0 < request.amount <= request.price.amount
    orders = PaymentOrder.objects.in_bulk(list(SubscriptionPeriod.objects.values_list("payment_id", flat=True)))
    for subscription in subscriptions():
        paid, owed, periods = 0, Fraction(0), list(subscription.periods.all())
        for period in periods:
            order = orders.get(period.payment_id)
            if order is None:
                continue  # it cost nothing
            request = asked[order.billing_request_id]
            whole = length_of(request, period)
            paid += order.amount
            owed += Fraction(request.price.amount * ((period.period_end - period.period_start) // MICROSECOND), whole)
        if any(period.refunded for period in periods):
            assert paid >= owed - len(periods)  # nothing is credited of what was given back
        else:
            assert abs(paid - owed) <= len(periods), (paid, owed, subscription.pk)


def length_of(request, period):
    """How long the period would have been, had no change cut it short."""
    end = request.period_end or period_end(
        period.period_start,
        interval=request.price.interval,
        interval_count=request.price.interval_count,
        anchor_day=anchor_day_of(period.period_start),
    )
    return (end - period.period_start) // MICROSECOND


def invariant_09_a_dearer_sale_never_has_a_smaller_fee(platform):
    fees = list(PaymentOrder.objects.order_by("currency", "amount").values_list("currency", "platform_fee_amount"))
    for (currency, smaller), (same, larger) in pairwise(fees):
        assert currency != same or smaller <= larger


# --- subscriptions ----------------------------------------------------------------------------------------------------


def invariant_10_one_live_subscription_of_a_pair(platform):
    live = Counter(Subscription.objects.live().values_list("subscriber_id", "creator_id"))
    assert [pair for pair, count in live.items() if count > 1] == []


def invariant_11_only_moves_of_the_table_each_told_once(platform):
    told = defaultdict(list)
    for event in platform.told:
        if spec_of(type(event)).aggregate == "subscription":
            told[event.subscription_id].append(event.sequence)
    for found in subscriptions():
        steps = sorted((step.sequence, step.from_status, step.to_status) for step in found.transitions.all())
        assert [step[0] for step in steps] == told[found.pk] == list(range(1, found.sequence + 1))
        assert steps[-1][2] == found.status
        for (_, _, before), (_, start, end) in pairwise(steps):
            assert start == before
            assert end in Subscription.TRANSITIONS[start] or (end == start)


def invariant_12_periods_follow_one_another_on_their_day(platform):
    for found in subscriptions():
        periods = sorted(found.periods.all(), key=lambda period: period.cycle_number)
        for earlier, later in pairwise(periods):
            assert earlier.period_end == later.period_start
        if periods:
            end = periods[-1].period_end
            assert (periods[-1].period_start, end) == (found.current_period_start, found.current_period_end)
            assert end.day == min(found.anchor_day, monthrange(end.year, end.month)[1])


def invariant_13_access_lasts_as_long_as_the_status_says(platform):
    for found in Subscription.objects.all():
        until = found.access_until
        if found.status == "incomplete":
            assert until is None
        elif found.status in {"active", "trialing"}:
            assert found.current_period_end <= until <= found.current_period_end + timedelta(days=1)
        elif found.status == "past_due":
            assert until == (found.current_period_end if found.cancel_at_period_end else found.grace_until)
            assert until <= found.grace_until <= found.current_period_end + timedelta(days=21)
        else:
            assert until is None or until <= found.ended_at


def invariant_15_nobody_is_in_without_money_or_a_gift(platform):
    orders = {order.id: order for order in PaymentOrder.objects.filter(status__in=PaymentOrder.CAPTURED)}
    for found in subscriptions():
        periods = sorted(found.periods.all(), key=lambda period: period.cycle_number)
        assert [period.cycle_number for period in periods] == list(range(1, found.cycle_number + 1))
        if found.status in {"active", "past_due"} and found.trial_end_at is None:
            assert periods
        for period in periods:
            if period.payment_id is None:
                continue  # it cost nothing
            order = orders[period.payment_id]
            assert (order.reference_id, order.cycle_number) == (found.pk, period.cycle_number)


def invariant_16_one_trial_of_a_pair_for_ever(platform):
    trials = Counter(Subscription.objects.exclude(trial_end_at=None).values_list("subscriber_id", "creator_id"))
    assert [pair for pair, count in trials.items() if count > 1] == []
    assert sum(trials.values()) == TrialUse.objects.count()


# --- events -----------------------------------------------------------------------------------------------------------


def invariant_25_payments_knows_what_was_told_last(platform):
    rows = Subscription.objects.order_by("pk").values_list("pk", "status", "tier_id", "access_until", "sequence")
    refs = SubscriptionRef.objects.order_by("pk")
    assert list(refs.values_list("pk", "status", "tier_id", "access_until", "source_sequence")) == list(rows)
    for post_id, newest in platform.snapshots.items():
        offer = PostOffer.objects.get(pk=post_id)
        assert offer.source_sequence == newest.sequence
        assert offer.on_sale == getattr(newest, "is_on_sale", False)
        assert offer.amount == getattr(newest, "price_amount", None)


def invariant_26_what_is_told_is_told_once_and_in_order(platform, event, raw):
    assert event.id not in platform.ids_told
    platform.ids_told.add(event.id)
    spec = spec_of(type(event))
    aggregate = (spec.aggregate, *(getattr(event, name) for name in spec.aggregate_id))
    assert event.sequence == platform.sequences.get(aggregate, 0) + 1, aggregate
    platform.sequences[aggregate] = event.sequence


def invariant_26_nothing_waits_to_be_told(platform):
    assert not OutboxEvent.objects.exists()


@cache
def schema_of(topic):
    spec = registered()[topic]
    text = (ROOT / "docs" / "events" / topic / f"{spec.major}.json").read_text()
    return Draft202012Validator(json.loads(text), format_checker=Draft202012Validator.FORMAT_CHECKER)


def invariant_27_an_event_is_as_its_schema_says(platform, event, raw):
    spec = spec_of(type(event))
    assert list(schema_of(spec.topic).iter_errors(json.loads(raw))) == []
    assert event.encode() == raw


def invariant_28_no_event_says_what_it_must_not(platform, event, raw):
    assert FORBIDDEN.isdisjoint(names_in(json.loads(raw)))
    assert b"tok_" not in raw


def names_in(value):
    if isinstance(value, dict):
        return set(value).union(*map(names_in, value.values()))
    if isinstance(value, list):
        return set().union(*map(names_in, value))
    return set()


# --- the saga ---------------------------------------------------------------------------------------------------------


def invariant_29_whoever_waits_is_waited_for(platform):
    """Nothing is under way at rest, and for what subscriptions awaits payments has an order that may yet be paid."""
    assert not ParkedEvent.objects.exists()
    assert not PaymentOrder.objects.filter(status="processing").exists()
    at_the_bank = SandboxRefund.objects.filter(status="pending").values_list("pk", flat=True)
    assert {str(refund.pk) for refund in Refund.objects.filter(status="pending")} == set(at_the_bank)
    assert list(GatewayEvent.objects.filter(handled_at=None).values_list("type", "last_error")) == []
    open_orders = PaymentOrder.objects.filter(status__in=PaymentOrder.OPEN)
    asked = set(open_orders.values_list("billing_request_id", flat=True))
    for request in RequestedPayment.objects.filter(state="open"):
        assert request.pk in asked, (request, list(PaymentOrder.objects.filter(reference_id=request.subscription_id)))
    over = Subscription.objects.filter(status__in=Subscription.TERMINAL).values_list("pk", flat=True)
    assert not open_orders.filter(reference_id__in=over).exists()


def invariant_29_money_bought_something_or_goes_back(platform):
    for order in PaymentOrder.objects.filter(status="succeeded"):
        if order.refunds.exists():
            continue  # it goes back, or it came back from the payer's bank and a person decides
        if order.kind == "subscription":
            assert ReceivedPayment.objects.filter(pk=order.id, outcome="granted").exists(), order
        elif order.kind == "tip":
            assert Tip.objects.get(order=order).status == "completed"
        else:
            assert PostPurchase.objects.get(order=order).status == "completed"
    waiting = Refund.objects.filter(status="waiting")
    assert not waiting.exclude(order__status="disputed").exists()


def invariant_29_in_the_end_nobody_waits(platform):
    now = timezone.now()
    assert not Subscription.objects.filter(status="incomplete", payment_due_at__lte=now).exists()
    assert not RequestedPayment.objects.filter(state="open", expires_at__lte=now - PATIENCE).exists()
    assert not PostPurchase.objects.filter(status="pending").exists()
    assert not Tip.objects.filter(status="pending").exists()
    overdue = PaymentOrder.objects.filter(status__in=PaymentOrder.OPEN, expires_at__lte=now)
    assert list(overdue.values_list("status", "kind")) == []


def numbered(*numbers):
    """The invariants of these numbers."""
    begins = tuple(f"invariant_{number:02}_" for number in numbers)
    found = {name: check for name, check in sorted(globals().items()) if name.startswith(begins)}
    assert {int(name[10:12]) for name in found} == set(numbers)
    return list(found.values())


AS_TOLD = [
    invariant_07_nothing_told_is_a_float,
    invariant_26_what_is_told_is_told_once_and_in_order,
    invariant_27_an_event_is_as_its_schema_says,
    invariant_28_no_event_says_what_it_must_not,
]
AT_ALL_TIMES = [
    invariant_03_refunds_fit_what_was_paid,
    invariant_10_one_live_subscription_of_a_pair,
    invariant_13_access_lasts_as_long_as_the_status_says,
]
IN_THE_END = [invariant_29_in_the_end_nobody_waits]
# 14 is a rule of the machine; 23 and 24 are looked at when all news is told again.
CHECKED = numbered(*range(1, 14), 15, 16, *range(25, 30))
AT_REST = [check for check in CHECKED if check not in (*AS_TOLD, *IN_THE_END)]
