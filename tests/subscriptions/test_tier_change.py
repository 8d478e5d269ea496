"""Changing what a subscription costs: dearer at once for the difference, anything else at the renewal."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import User
from eventbus.testing import deliver, published
from subscriptions import tasks
from subscriptions.events import BillingReason, CancelledBy, CancelMode, Change, SubscriptionUpdated
from subscriptions.exceptions import (
    ChangeLimitError,
    CurrencyDiffersError,
    InvalidTransitionError,
    PaymentMethodRequiredError,
    PriceChangedError,
    RenewalInProgressError,
    SamePriceError,
    TierFullError,
    TierNotAvailableError,
)
from subscriptions.models.history import RequestedPayment, SubscriptionPeriod
from subscriptions.models.subscriptions import Subscription
from subscriptions.proration import unused_part
from subscriptions.services.cancellation import cancel
from subscriptions.services.tier_change import change_price, preview_change
from subscriptions.services.tiers import PriceTerms, archive_tier, deactivate_price
from tests.subscriptions.conftest import NOW
from tests.subscriptions.factories import (
    choose,
    completed,
    failed,
    forget_events,
    make_active,
    make_creator,
    make_tier,
    make_user,
    monthly,
    price_of,
    refunded,
)

FEBRUARY = datetime(2031, 2, 28, 12, 0, tzinfo=UTC)  # 28 days after NOW
MARCH = datetime(2031, 3, 31, 12, 0, tzinfo=UTC)
HALF_WAY = NOW + timedelta(days=14)
NEXT_END = datetime(2031, 3, 14, 12, 0, tzinfo=UTC)


@pytest.fixture
def dear(creator):
    return price_of(make_tier(creator, monthly(1500), name="Dear"))


@pytest.fixture
def cheap(creator):
    return price_of(make_tier(creator, monthly(300), name="Cheap"))


@pytest.fixture
def yearly(creator):
    return price_of(make_tier(creator, PriceTerms(interval="year", amount=9000, currency="USD"), name="Yearly"))


@pytest.fixture
def half_way(active, dear, cheap, clock):
    clock.move_to(HALF_WAY)
    forget_events()
    return active


def change(subscription, price, **more):
    return change_price(subscription_id=subscription.id, price_id=price.id, **{"expected_amount": price.amount, **more})


def open_request():
    return RequestedPayment.objects.get(state="open")


def assert_untouched(subscription):
    sequence, price = subscription.sequence, subscription.price_id
    subscription.refresh_from_db()
    assert (subscription.sequence, subscription.price_id, subscription.pending_price_id) == (sequence, price, None)
    assert not RequestedPayment.objects.filter(state="open").exists()
    assert published() == []


def test_a_dearer_price_is_charged_at_once_less_what_is_unused(half_way, dear):
    changed = change(half_way, dear)

    assert changed.amount == 500
    [event] = published(SubscriptionUpdated)
    request = event.billing_request
    assert (event.change, event.amount) == (Change.CHANGE_SCHEDULED, 500)
    assert (request.reason, request.cycle_number) == (BillingReason.PRORATION, 2)
    assert request.amount == 1500 - 250
    assert (request.period_start, request.period_end) == (HALF_WAY, NEXT_END)
    assert (request.due_at, request.expires_at) == (HALF_WAY, HALF_WAY + timedelta(hours=23))


def test_it_holds_once_it_is_paid_and_a_new_period_begins(half_way, dear, clock):
    change(half_way, dear)
    forget_events()
    clock.shift(timedelta(minutes=2))
    deliver(completed(half_way, amount=1250, billing_request_id=open_request().pk))

    half_way.refresh_from_db()
    assert (half_way.tier_id, half_way.price_id, half_way.amount) == (dear.tier_id, dear.id, 1500)
    assert (half_way.current_period_start, half_way.current_period_end) == (HALF_WAY, NEXT_END)
    assert (half_way.cycle_number, half_way.anchor_day, half_way.access_until) == (2, 14, NEXT_END)
    [event] = published(SubscriptionUpdated)
    assert (event.change, event.tier_id) == (Change.TIER_CHANGED, dear.tier_id)
    assert event.previous_tier_id not in {None, dear.tier_id}
    periods = SubscriptionPeriod.objects.values_list("period_start", "period_end")
    assert list(periods) == [(NOW, HALF_WAY), (HALF_WAY, NEXT_END)]


def test_the_next_renewal_costs_the_new_price_on_the_new_day(half_way, dear, clock):
    change(half_way, dear)
    deliver(completed(half_way, amount=1250, billing_request_id=open_request().pk))
    clock.move_to(NEXT_END)
    tasks.renew_subscriptions()

    assert (open_request().amount, open_request().period_start) == (1500, NEXT_END)


@pytest.mark.parametrize("amount", [1249, 500])
def test_less_than_the_difference_is_given_back(half_way, dear, amount):
    change(half_way, dear)
    deliver(completed(half_way, amount=amount, billing_request_id=open_request().pk))

    half_way.refresh_from_db()
    assert (half_way.amount, half_way.cycle_number) == (500, 1)
    assert published(SubscriptionUpdated)[-1].change is Change.REFUND_REQUESTED


def test_an_unpaid_change_is_dropped_and_the_subscription_stays(half_way, dear):
    change(half_way, dear)
    request = open_request()
    deliver(failed(half_way, final=False, billing_request_id=request.pk))
    half_way.refresh_from_db()
    assert half_way.status == Subscription.Status.ACTIVE
    deliver(failed(half_way, final=True, billing_request_id=request.pk))

    half_way.refresh_from_db()
    assert (half_way.status, half_way.amount, half_way.access_until) == ("active", 500, FEBRUARY)
    assert half_way.next_action_at == FEBRUARY - timedelta(hours=1)
    assert published(SubscriptionUpdated)[-1].change is Change.CHANGE_UNSCHEDULED


def test_money_for_a_change_that_was_dropped_goes_back(half_way, dear):
    change(half_way, dear)
    request = open_request()
    deliver(failed(half_way, final=True, billing_request_id=request.pk))
    deliver(completed(half_way, amount=1250, billing_request_id=request.pk))

    half_way.refresh_from_db()
    assert (half_way.amount, half_way.cycle_number) == (500, 1)
    assert published(SubscriptionUpdated)[-1].change is Change.REFUND_REQUESTED


def test_a_change_that_payments_never_answers_is_given_up(half_way, dear, clock):
    change(half_way, dear)
    clock.shift(timedelta(hours=24))
    tasks.give_up_unpaid_renewals()

    half_way.refresh_from_db()
    assert (half_way.status, half_way.amount) == ("active", 500)
    assert RequestedPayment.objects.get(reason="proration").state == "failed"


@pytest.mark.parametrize("which", ["cheap", "yearly"])
def test_a_cheaper_price_or_another_span_waits_for_the_renewal(half_way, which, request, clock):
    price = request.getfixturevalue(which)
    forget_events()
    changed = change(half_way, price)

    assert (changed.amount, changed.pending_price_id) == (500, price.id)
    [event] = published(SubscriptionUpdated)
    assert (event.change, event.billing_request) == (Change.CHANGE_SCHEDULED, None)
    clock.move_to(FEBRUARY)
    tasks.renew_subscriptions()
    asked = open_request()
    assert (asked.amount, asked.period_start) == (price.amount, FEBRUARY)
    assert asked.period_end == (MARCH if which == "cheap" else datetime(2032, 2, 29, 12, 0, tzinfo=UTC))
    deliver(completed(half_way, amount=price.amount, billing_request_id=asked.pk))

    half_way.refresh_from_db()
    assert (half_way.price_id, half_way.pending_price_id, half_way.current_period_end) == (
        price.id,
        None,
        asked.period_end,
    )
    assert published(SubscriptionUpdated)[-1].change is Change.TIER_CHANGED


def test_to_a_free_tier_at_the_renewal_nothing_is_charged(half_way, creator, clock):
    free = price_of(make_tier(creator, monthly(0)))
    change(half_way, free)
    clock.move_to(FEBRUARY)
    tasks.renew_subscriptions()

    half_way.refresh_from_db()
    assert (half_way.amount, half_way.cycle_number, half_way.current_period_end) == (0, 2, MARCH)
    assert published(SubscriptionUpdated)[-1].change is Change.TIER_CHANGED


def test_from_a_free_tier_the_whole_price_is_due_and_something_to_pay_it_with(creator, dear, clock):
    free = choose(make_tier(creator, monthly(0)), make_user(), payment_method_id=None)
    clock.move_to(HALF_WAY)
    with pytest.raises(PaymentMethodRequiredError):
        change(free, dear)
    change(free, dear, payment_method_id=uuid4())

    assert open_request().amount == 1500


def test_a_waiting_change_is_called_off_by_naming_the_present_price(half_way, cheap):
    change(half_way, cheap)
    called_off = change(half_way, half_way.price)

    assert called_off.pending_price_id is None
    assert published(SubscriptionUpdated)[-1].change is Change.CHANGE_UNSCHEDULED


def test_nothing_is_credited_for_a_period_whose_money_went_back(half_way, dear):
    period = SubscriptionPeriod.objects.get()
    deliver(refunded(half_way, payment_id=period.payment_id, revoke_access=False))

    assert preview_change(subscription=half_way, price_id=dear.id).credit == 0


def test_what_is_left_of_a_partly_refunded_payment_is_credited(half_way, dear):
    payment_id = SubscriptionPeriod.objects.get().payment_id
    earlier = refunded(
        half_way, payment_id=payment_id, revoke_access=False, refund_amount=60, refunded_total=60, is_full=False
    )
    later = refunded(
        half_way, payment_id=payment_id, revoke_access=False, refund_amount=40, refunded_total=100, is_full=False
    )

    deliver(later, earlier)

    assert preview_change(subscription=half_way, price_id=dear.id).credit == (500 - 100) // 2


def test_a_difference_too_small_to_charge_waits_for_the_renewal(half_way, creator):
    slightly = price_of(make_tier(creator, monthly(510)))
    half_way.current_period_start = HALF_WAY - timedelta(seconds=1)

    quote = preview_change(subscription=half_way, price_id=slightly.id)

    assert (quote.is_immediate, quote.amount_due) == (False, 0)


def refused_cases():
    yield "another creator's price", TierNotAvailableError, lambda s: price_of(make_tier(make_creator(), monthly(900)))
    yield "its own price", SamePriceError, lambda s: s.price
    yield "another currency", CurrencyDiffersError, lambda s: price_of(make_tier(creator_of(s), monthly(900, "EUR")))
    yield "a full tier", TierFullError, full_tier
    yield "an archived tier", TierNotAvailableError, archived
    yield "a withdrawn price", TierNotAvailableError, withdrawn


def creator_of(subscription):
    return User.objects.get(pk=subscription.creator_id)


def full_tier(subscription):
    tier = make_tier(creator_of(subscription), monthly(900), max_subscribers=1)
    make_active(tier, make_user(), paid_at=NOW)
    return price_of(tier)


def archived(subscription):
    tier = make_tier(creator_of(subscription), monthly(900))
    archive_tier(tier_id=tier.id)
    return price_of(tier)


def withdrawn(subscription):
    tier = make_tier(creator_of(subscription), monthly(900))
    deactivate_price(tier_id=tier.id, price_id=price_of(tier).id)
    return price_of(tier)


@pytest.mark.parametrize("case", list(refused_cases()), ids=lambda case: case[0])
def test_what_is_refused_changes_nothing(half_way, case):
    _, error, make_price = case
    price = make_price(half_way)
    forget_events()
    with pytest.raises(error):
        change(half_way, price)
    assert_untouched(half_way)


def test_another_amount_than_the_one_shown_is_refused(half_way, dear):
    with pytest.raises(PriceChangedError):
        change(half_way, dear, expected_amount=1499)
    assert_untouched(half_way)


def test_h20_while_a_renewal_is_open_nothing_is_changed(active, dear, clock):
    clock.move_to(FEBRUARY - timedelta(minutes=30))
    tasks.renew_subscriptions()
    forget_events()
    for price in (dear, active.price):
        with pytest.raises(RenewalInProgressError):
            change(active, price)

    active.refresh_from_db()
    assert (active.sequence, active.pending_price_id) == (3, None)
    assert published() == []


def test_h20_shortly_before_the_renewal_nothing_is_charged_beside_it(active, dear, clock):
    clock.move_to(FEBRUARY - timedelta(hours=3))
    forget_events()
    with pytest.raises(RenewalInProgressError):
        change(active, dear)
    assert_untouched(active)


def test_while_a_change_is_being_paid_no_other_is_made(half_way, dear, cheap):
    change(half_way, dear)
    with pytest.raises(RenewalInProgressError):
        change(half_way, cheap)


def test_what_is_cancelled_is_not_changed(half_way, dear):
    cancel(subscription_id=half_way.id, cancelled_by=CancelledBy.SUBSCRIBER, mode=CancelMode.AT_PERIOD_END)
    half_way.refresh_from_db()
    forget_events()
    with pytest.raises(InvalidTransitionError):
        change(half_way, dear)
    assert_untouched(half_way)


def test_a_fourth_change_in_a_period_is_refused(half_way, cheap, clock):
    for _ in range(3):
        change(half_way, cheap)
        change(half_way, half_way.price)
    with pytest.raises(ChangeLimitError):
        change(half_way, cheap)

    half_way.refresh_from_db()
    assert half_way.pending_price_id is None


def test_a_change_that_waits_keeps_its_place(half_way, creator):
    tier = make_tier(creator, monthly(300), max_subscribers=1)
    change(half_way, price_of(tier))
    with pytest.raises(TierFullError):
        choose(tier, make_user())


def test_a_change_that_is_being_paid_keeps_its_place(half_way, creator):
    tier = make_tier(creator, monthly(1900), max_subscribers=1)
    change(half_way, price_of(tier))
    with pytest.raises(TierFullError):
        choose(tier, make_user())


def test_the_subscriber_asks_what_it_would_cost_and_changes(api, half_way, dear, fan, key):
    address = f"/api/v1/subscriptions/{half_way.id}"
    quote = api(fan).get(f"{address}/change-preview", {"price_id": str(dear.id)})
    assert published() == []
    changed = api(fan).post(f"{address}/change", {"price_id": str(dear.id), "expected_amount": 1500}, **key())

    assert quote.status_code == changed.status_code == 200
    shown = quote.json()
    assert (shown["is_immediate"], shown["credit"], shown["amount_due"], shown["currency"]) == (True, 250, 1250, "USD")
    assert shown["price"]["id"] == str(dear.id)
    assert (changed.json()["price"]["amount"], open_request().amount) == (500, 1250)


@pytest.mark.parametrize(
    "wish",
    [
        ({"price_id": "x", "expected_amount": 1500}, "validation_error"),
        ({"expected_amount": 1500}, "validation_error"),
        ({"price_id": str(uuid4()), "expected_amount": 1500}, "tier_not_available"),
        ({"price_id": str(uuid4()), "expected_amount": "1500"}, "validation_error"),
        ({"price_id": str(uuid4()), "expected_amount": 1500, "amount": 1}, "validation_error"),
    ],
)
def test_bad_wishes_change_nothing(api, half_way, fan, key, wish):
    body, code = wish
    answer = api(fan).post(f"/api/v1/subscriptions/{half_way.id}/change", body, **key())

    assert answer.json()["code"] == code
    assert_untouched(half_way)


def moments():
    return st.integers(0, 5 * 366 * 86_400).map(lambda seconds: NOW + timedelta(seconds=seconds))


@given(amount=st.integers(0, 99_999_999), start=moments(), days=st.integers(1, 400), part=st.floats(0, 1))
def test_the_parts_of_a_period_never_add_up_to_more_than_its_price(amount, start, days, part):
    end = start + timedelta(days=days)
    at = start + (end - start) * part

    credit = unused_part(amount, start=start, end=end, at=at)
    used = unused_part(amount, start=start, end=end, at=end - (at - start))

    assert 0 <= credit <= amount
    assert amount - 1 <= credit + used <= amount


@given(
    steps=st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 20 * 86_400)), min_size=1, max_size=6),
    first=st.integers(50, 5000),
    start=moments(),
)
def test_going_up_step_by_step_is_never_cheaper_than_the_time_used(steps, first, start):
    """What was paid covers each price for as long as it was held; the last period is whole."""
    paid, held, price = first, [], first
    end = start + timedelta(days=30)
    for rise, seconds in steps:
        at = min(start + timedelta(seconds=seconds), end)
        paid += (price + rise) - unused_part(price, start=start, end=end, at=at)
        held.append((price, start, end, at))
        price, start, end = price + rise, at, at + timedelta(days=30)

    used = sum(amount - unused_part(amount, start=begin, end=over, at=at) for amount, begin, over, at in held)
    assert paid == used + price
