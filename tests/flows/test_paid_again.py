"""Who was given their money back and pays again has what they paid for, in whatever order all that is told."""

from itertools import permutations
from uuid import UUID

import pytest
from django.db import transaction

from content.models.projections import Entitlement
from payments.events import PaymentCompleted, PaymentRefunded, PostPurchased, RefundSource
from payments.gateways.sandbox import SandboxGateway
from payments.models.orders import PaymentOrder
from payments.models.sandbox import SandboxDispute
from subscriptions.models.subscriptions import Subscription
from tests.flows.test_renewals import ask_for_renewal, when
from tests.flows.world import behave_as, pick, retold


def orders_of(events):
    """Every order of these events that Kafka may bring: of one topic and key only the one in which they were told."""
    told = list(enumerate(events))
    for order in permutations(told):
        last = {}
        for place, event in order:
            line = (type(event), event.key)
            if last.get(line, -1) > place:
                break
            last[line] = place
        else:
            yield [event for _, event in order]


def named(order):
    """The order in words, for whoever reads a failure."""
    return " · ".join(f"{type(event).__name__} {event.payment_id}" for event in order)


@pytest.fixture
def bought_twice(world):
    """A post bought, given back, and bought again, of which a part came back: the post, both purchases, four events."""
    post, card = world.sell(700), world.card()
    first = world.buy(post, card)
    world.refund(world.payment(first), revoke_access=True)
    second = world.buy(post, card)
    world.refund(world.payment(second), amount=100, revoke_access=False)
    told = [event for event in world.take() if isinstance(event, PostPurchased | PaymentRefunded)]
    assert [type(event) for event in told] == [PostPurchased, PaymentRefunded] * 2
    return post, first, second, told


@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
def test_the_second_purchase_opens_the_post_and_the_first_stays_revoked(world, bought_twice, again):
    post, first, second, told = bought_twice
    tried = 0
    for order in orders_of(told):
        with transaction.atomic():
            world.deliver(*order, to="content")
            if again:
                world.deliver(*map(retold, reversed(order)), to="content")

            held = {str(each.source_id): each.revoked_at is not None for each in Entitlement.objects.all()}
            assert held == {first["id"]: True, second["id"]: False}, named(order)
            assert world.opens(post), named(order)
            transaction.set_rollback(True)
        tried += 1

    assert tried == 24


@pytest.fixture
def subscribed_twice(world):
    """Two choices of one fan, the first given back before anybody heard of it: the post, both, and four events."""
    post, card = world.write(visibility="subscribers"), world.card()
    tiers = [world.tier(name="Backstage"), world.tier(name="Front row")]
    world.settle()
    both = []
    for tier in tiers:
        both.append(world.subscribe(tier, card))
        world.deliver(*(event for event in world.take() if not isinstance(event, PaymentCompleted)))
    payments = [world.payment(each) for each in both]
    world.refund(payments[0], revoke_access=True)
    world.refund(payments[1], amount=100, revoke_access=False)
    world.take()
    told = [event for event in world.told if isinstance(event, PaymentCompleted | PaymentRefunded)]
    return post, both, told


def test_the_second_subscription_gives_access_and_the_first_never_does(world, subscribed_twice):
    post, both, told = subscribed_twice
    ids = [UUID(each["id"]) for each in both]
    completed = [event for event in told if isinstance(event, PaymentCompleted)]
    assert [event.reference_id for event in completed] == ids
    assert len(told) == 4
    tried = 0
    for order in orders_of(told):
        with transaction.atomic():
            world.deliver(*order)
            world.deliver(*map(retold, reversed(order)))
            world.settle()

            statuses = dict(Subscription.objects.values_list("pk", "status"))
            assert statuses == {ids[0]: "cancelled", ids[1]: "active"}, named(order)
            [open_to] = Entitlement.objects.filter(revoked_at=None, valid_until__isnull=False)
            assert open_to.source_id == ids[1], named(order)
            assert world.opens(post), named(order)
            assert not PaymentOrder.objects.exclude(status__in=("refunded", "partially_refunded")).exists()
            world.check()
            transaction.set_rollback(True)
        tried += 1

    assert tried == 24


@pytest.fixture
def goes_back(world, settings):
    """Takes a payment back: its payee gives it, or its bank does."""
    settings.SANDBOX_WEBHOOK_SECRETS = ["whsec"]

    def take_back(payment_id, *, source):
        if source is RefundSource.DISPUTE:
            with world.background():
                SandboxGateway().decide_dispute(SandboxDispute.objects.get().pk, "lost")
        else:
            world.refund({"id": payment_id}, revoke_access=True)
        told = pick(world.take(), PaymentRefunded)
        assert (told.payment_id, told.source, told.revoke_access) == (payment_id, source, True)
        return told

    return take_back


@pytest.mark.parametrize(
    ("source", "reason"), [(RefundSource.PAYEE, "refunded"), (RefundSource.DISPUTE, "disputed")], ids=str
)
@pytest.mark.parametrize("first_heard", ["the payment", "the refund"])
def test_the_same_choice_is_open_again_as_soon_as_its_payment_went_back(world, goes_back, first_heard, source, reason):
    """Payments takes one order for a cycle: what waited for that money could never be paid for again."""
    post, tier, card = world.write(visibility="subscribers"), world.tier(), world.card()
    world.settle()
    first = world.subscribe(tier, world.card(token="tok_dispute") if source is RefundSource.DISPUTE else card)
    world.deliver(*world.take(), to="payments")
    completed = pick(world.take(), PaymentCompleted)
    refunded = goes_back(completed.payment_id, source=source)
    heard = [completed, refunded] if first_heard == "the payment" else [refunded, completed]
    world.deliver(*heard)
    world.settle()
    assert not world.opens(post)

    second = world.subscribe(tier, card)
    world.settle()

    ends = [(each["status"], each["end_reason"]) for each in map(world.subscription, (first, second))]
    assert ends == [("cancelled", reason), ("active", None)]
    assert world.opens(post)


def pay_for_a_dearer_tier(world, subscription):
    """Half of the period is unused: its price is the credit."""
    dear = world.tier(amount=2400, name="Dear")
    world.settle()
    world.wait(days=14)
    wish = {"price_id": dear["prices"][0]["id"], "expected_amount": 2400}
    world.post(world.fan, f"subscriptions/{subscription['id']}/change", wish, expect=200)


def pay_the_renewal_before_it_is_due(world, subscription):
    """The card was blocked before the renewal was asked for, and another one is charged at once."""
    card = subscription["payment_method_id"]
    behave_as(card, "tok_decline_hard")
    world.tip(card)
    ask_for_renewal(world, subscription)
    assert world.subscription(subscription)["status"] == "past_due"
    choice = {"payment_method_id": world.card(token="tok_ok:second")}
    world.post(world.fan, f"subscriptions/{subscription['id']}/payment-method", choice, expect=202)


@pytest.mark.parametrize("pay", [pay_for_a_dearer_tier, pay_the_renewal_before_it_is_due])
@pytest.mark.parametrize("first_heard", ["the payment", "the refund"])
def test_the_next_cycle_paid_inside_this_one_and_given_back_holds_no_other_payment_up(world, pay, first_heard):
    post = world.write(visibility="subscribers")
    tier, subscription = world.subscribed()
    pay(world, subscription)
    world.deliver(*world.take(), to="payments")
    completed = pick(world.take(), PaymentCompleted)
    assert completed.cycle_number == 2
    assert when(subscription) > completed.paid_at
    world.refund({"id": completed.payment_id}, revoke_access=True)
    refunded = pick(world.take(), PaymentRefunded)
    world.deliver(*([completed, refunded] if first_heard == "the payment" else [refunded, completed]))
    world.settle()
    assert not world.opens(post)

    again = world.subscribe(tier, world.card(token="tok_ok:third"))
    world.settle()

    ends = [(each["status"], each["end_reason"]) for each in map(world.subscription, (subscription, again))]
    assert ends == [("cancelled", "refunded"), ("active", None)]
    assert world.opens(post)
