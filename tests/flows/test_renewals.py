"""A subscription's life beyond its first period, through all rooms."""

from datetime import datetime, timedelta

import pytest

from payments import tasks as payment_tasks
from payments.models.orders import PaymentOrder
from payments.models.sandbox import SandboxCharge
from subscriptions import tasks
from subscriptions.models.subscriptions import Subscription
from tests.flows.world import behave_as, kept_by

LEAD = timedelta(hours=1)


@pytest.fixture
def post(world):
    made = world.write(visibility="subscribers")
    world.settle()
    return made


@pytest.fixture
def active(world, post):
    _, subscription = world.subscribed()
    return subscription


def when(subscription, field="current_period_end"):
    return datetime.fromisoformat(subscription[field])


def clock_work(world):
    """One round of everything that the clock does, and what follows."""
    for task in (
        tasks.end_cancelled_subscriptions,
        tasks.renew_subscriptions,
        tasks.give_up_unpaid_renewals,
        payment_tasks.charge_due_orders,
        payment_tasks.expire_orders,
    ):
        world.run(task)
        world.settle()


def ask_for_renewal(world, subscription):
    world.clock.move_to(when(subscription) - LEAD + timedelta(seconds=1))
    clock_work(world)


def test_a_renewal_is_charged_when_its_period_begins_and_access_never_breaks(world, post, active):
    end = when(active)
    ask_for_renewal(world, active)
    assert [order.status for order in PaymentOrder.objects.order_by("cycle_number")] == ["succeeded", "pending"]

    world.clock.move_to(end + timedelta(seconds=3))
    assert world.opens(post)
    clock_work(world)

    renewed = world.subscription(active)
    assert (renewed["status"], renewed["cycle_number"]) == ("active", 2)
    assert when(renewed, "current_period_start") == end
    assert world.opens(post)
    assert [kept_by(order.id) for order in PaymentOrder.objects.all()] == [1200, 1200]


def test_a_year_of_renewals_costs_twelve_prices(world, post, active):
    end = when(active)
    for _ in range(11):
        ask_for_renewal(world, world.subscription(active))
        world.clock.move_to(when(world.subscription(active)) + timedelta(seconds=3))
        clock_work(world)

    last = world.subscription(active)
    assert (last["cycle_number"], when(last)) == (12, end.replace(year=end.year + 1, month=end.month - 1))
    assert sum(kept_by(order.id) for order in PaymentOrder.objects.all()) == 12 * 1200


def test_h18_a_cancellation_while_the_renewal_is_open_is_never_charged(world, post, active):
    ask_for_renewal(world, active)
    world.cancel(active)
    world.settle()

    world.clock.move_to(when(active) + timedelta(minutes=2))
    clock_work(world)

    ended = world.subscription(active)
    assert (ended["status"], ended["end_reason"], ended["ended_at"]) == (
        "cancelled",
        "subscriber_request",
        active["current_period_end"],
    )
    assert not world.opens(post)
    assert sorted(order.status for order in PaymentOrder.objects.all()) == ["cancelled", "succeeded"]
    assert SandboxCharge.objects.count() == 1


def test_h18_taken_back_in_time_it_is_charged_once(world, post, active):
    ask_for_renewal(world, active)
    world.cancel(active)
    world.resume(active)
    world.settle()
    clock_work(world)

    world.clock.move_to(when(active) + timedelta(minutes=2))
    clock_work(world)

    assert world.subscription(active)["cycle_number"] == 2
    assert SandboxCharge.objects.filter(status="captured").count() == 2


def test_h18_news_that_overtakes_other_news_leaves_no_renewal_without_its_order(world, active):
    """The withdrawal is heard after its successor: payments holds one order to a cycle, and is asked again."""
    ask_for_renewal(world, active)
    world.cancel(active)
    [cancelled] = world.take()
    world.resume(active)
    world.run(tasks.renew_subscriptions)
    world.settle()
    world.deliver(cancelled)
    world.settle()

    world.clock.move_to(when(active) + timedelta(minutes=2))
    clock_work(world)

    assert world.subscription(active)["cycle_number"] == 2
    assert SandboxCharge.objects.filter(status="captured").count() == 2


def test_h20_no_change_of_price_beside_an_open_renewal(world, active):
    dear = world.tier(amount=2400, name="Dear")
    ask_for_renewal(world, active)
    price = dear["prices"][0]
    wish = {"price_id": price["id"], "expected_amount": price["amount"]}

    refused = world.post(world.fan, f"subscriptions/{active['id']}/change", wish, expect=409)

    assert refused["code"] == "renewal_in_progress"
    world.clock.move_to(when(active) + timedelta(minutes=2))
    clock_work(world)
    assert world.subscription(active)["price"]["amount"] == 1200


def test_a_dearer_tier_opens_once_its_difference_is_paid(world, active):
    dear = world.tier(amount=2400, name="Dear")
    world.settle()
    gated = world.write(visibility="tiers", tier_ids=[dear["id"]])
    world.settle()
    start, end = when(active, "current_period_start"), when(active)
    world.clock.move_to(start + (end - start) / 2)
    assert not world.opens(gated)
    price = dear["prices"][0]
    wish = {"price_id": price["id"], "expected_amount": price["amount"]}

    world.post(world.fan, f"subscriptions/{active['id']}/change", wish, expect=200)
    assert not world.opens(gated)
    world.settle()

    changed = world.subscription(active)
    assert (changed["tier_id"], changed["price"]["amount"], changed["cycle_number"]) == (dear["id"], 2400, 2)
    assert world.opens(gated)
    assert PaymentOrder.objects.get(cycle_number=2).amount == 2400 - 600 + 1  # a moment more than half was used


def test_a_change_that_is_captured_too_late_goes_back_and_the_renewal_is_charged(world, active):
    """Its order held the cycle at the gateway while the renewal was asked for."""
    dear = world.tier(amount=2400, name="Dear")
    world.settle()
    world.clock.move_to(when(active) - timedelta(hours=10))
    card = world.card(token="tok_timeout_then_ok")
    wish = {"price_id": dear["prices"][0]["id"], "expected_amount": 2400, "payment_method_id": card}
    world.post(world.fan, f"subscriptions/{active['id']}/change", wish, expect=200)
    world.settle()
    world.clock.move_to(when(active) - LEAD + timedelta(seconds=1))
    for task in (tasks.give_up_unpaid_renewals, tasks.renew_subscriptions):
        world.run(task)
        world.settle()
    late = PaymentOrder.objects.get(cycle_number=2)
    assert (late.billing_reason, late.status) == ("proration", "processing")

    world.reconcile()
    world.settle()
    behave_as(card, "tok_ok")
    world.clock.move_to(when(active) + timedelta(minutes=2))
    clock_work(world)

    renewed = world.subscription(active)
    assert (renewed["status"], renewed["cycle_number"], renewed["price"]["amount"]) == ("active", 2, 1200)
    late.refresh_from_db()
    assert (late.status, kept_by(late.id)) == ("refunded", 0)
    assert kept_by(PaymentOrder.objects.get(billing_reason="renewal").id) == 1200


def test_a_trial_opens_at_once_and_is_paid_when_it_ends(world, post):
    tier = world.tier(trial_days=14)
    trial = world.subscribe(tier, world.card())
    world.settle()
    assert (trial["status"], world.opens(post), PaymentOrder.objects.count()) == ("trialing", True, 0)

    ask_for_renewal(world, trial)
    world.clock.move_to(when(trial) + timedelta(seconds=3))
    clock_work(world)

    paid = world.subscription(trial)
    assert (paid["status"], paid["cycle_number"], paid["current_period_start"]) == ("active", 1, trial["trial_end_at"])
    assert world.opens(post)
    assert Subscription.objects.get().periods.count() == 1
