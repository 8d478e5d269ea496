"""Between two of whom one blocks the other nothing more is begun, and what runs ends with what is paid."""

from uuid import uuid4

import pytest

from accounts.services import block_user, unblock_user
from eventbus.testing import published
from subscriptions import tasks
from subscriptions.events import CancelledBy, CancelMode, SubscriptionCancelled, SubscriptionUpdated
from subscriptions.models.subscriptions import Subscription
from subscriptions.services.cancellation import cancel
from tests.subscriptions.factories import choose, forget_events, make_active, make_tier, make_user, monthly, price_of
from tests.subscriptions.test_renewal import ASKED_AT, FEBRUARY, INSTANT
from tests.subscriptions.test_subscriptions_api import URL, body_for, one

EVERYTHING = [field.attname for field in Subscription._meta.concrete_fields]


@pytest.fixture(params=["the fan blocks", "the creator blocks"])
def apart(request, fan, creator):
    """Puts a block between the two, and takes it away."""
    pair = (fan, creator) if request.param == "the fan blocks" else (creator, fan)
    ids = {"blocker_id": pair[0].pk, "blocked_id": pair[1].pk}

    class Apart:
        def begin(self):
            block_user(**ids)

        def end(self):
            unblock_user(**ids)

    return Apart()


def state():
    return list(Subscription.objects.order_by("pk").values_list(*EVERYTHING))


def refused(answer, before):
    assert (answer.status_code, answer.json()["code"]) == (403, "blocked")
    assert (state(), published()) == (before, [])


def test_nobody_subscribes_across_a_block(api, tier, fan, key, apart):
    apart.begin()
    refused(api(fan).post(URL, body_for(tier), **key()), [])

    apart.end()
    assert api(fan).post(URL, body_for(tier), **key()).status_code == 201


def test_what_awaits_its_first_payment_is_not_handed_out_again(*, api, tier, fan, key, apart, incomplete):
    apart.begin()

    refused(api(fan).post(URL, body_for(tier), **key()), state())


@pytest.mark.parametrize("action", ["change", "change-preview", "resume", "retry-payment", "payment-method"])
def test_a_running_subscription_is_neither_changed_nor_taken_up_again(*, api, creator, fan, key, apart, active, action):
    dearer = price_of(make_tier(creator, monthly(900), name="Front row"))
    if action == "resume":
        cancel(subscription_id=active.pk, cancelled_by=CancelledBy.SUBSCRIBER, mode=CancelMode.AT_PERIOD_END)
    if action in {"retry-payment", "payment-method"}:
        Subscription.objects.filter(pk=active.pk).update(
            status="past_due", past_due_at=active.started_at, grace_until=FEBRUARY, access_until=FEBRUARY
        )
    forget_events()
    before, client, address = state(), api(fan), one(active, f"/{action}")
    apart.begin()

    if action == "change-preview":
        answer = client.get(address, {"price_id": str(dearer.pk)})
    else:
        choices = {
            "change": {"price_id": str(dearer.pk), "expected_amount": 900},
            "payment-method": {"payment_method_id": str(uuid4())},
        }
        answer = client.post(address, choices.get(action, {}), **key())

    refused(answer, before)


def test_a_card_can_be_taken_out_of_use_across_a_block(api, fan, key, apart, active):
    """Payments lets no card go that a subscription is paid with; nothing is charged to the other."""
    other = uuid4()
    apart.begin()

    answer = api(fan).post(one(active, "/payment-method"), {"payment_method_id": str(other)}, **key())

    assert (answer.status_code, answer.json()["payment_method_id"]) == (202, str(other))
    assert [event.billing_request for event in published(SubscriptionUpdated)] == [None]


def test_a_running_subscription_can_be_cancelled_across_a_block(api, fan, key, apart, active):
    apart.begin()

    answer = api(fan).post(one(active, "/cancel"), {}, **key())

    assert (answer.status_code, answer.json()["cancel_at_period_end"]) == (200, True)


def test_what_is_paid_runs_to_its_end_and_is_not_renewed(clock, active, apart):
    apart.begin()
    active.refresh_from_db()
    assert (active.status, active.access_until, published()) == ("active", FEBRUARY, [])

    clock.move_to(ASKED_AT)
    tasks.renew_subscriptions()
    tasks.renew_subscriptions()

    active.refresh_from_db()
    assert (active.status, active.cancel_at_period_end, active.access_until) == ("active", True, FEBRUARY)
    assert not active.requested_payments.filter(state="open").exists()
    [told] = published()
    assert isinstance(told, SubscriptionCancelled)
    assert (told.mode, told.cancelled_by, told.effective_at) == (
        CancelMode.AT_PERIOD_END,
        CancelledBy.SYSTEM,
        FEBRUARY,
    )

    forget_events()
    clock.move_to(FEBRUARY + INSTANT)
    tasks.end_cancelled_subscriptions()

    active.refresh_from_db()
    assert (active.status, active.end_reason, active.ended_at) == ("cancelled", "term_ended", FEBRUARY)
    assert [type(event) for event in published()] == [SubscriptionUpdated]


def test_what_costs_nothing_is_not_renewed_either(clock, creator, fan, apart):
    free = make_tier(creator, monthly(0), name="Free")
    active = choose(free, fan, payment_method_id=None)
    apart.begin()

    clock.move_to(active.current_period_end - INSTANT)
    tasks.renew_subscriptions()
    clock.move_to(active.current_period_end + INSTANT)
    tasks.end_cancelled_subscriptions()

    active.refresh_from_db()
    assert (active.status, active.end_reason, active.periods.count()) == ("cancelled", "term_ended", 1)


def test_a_block_that_is_gone_again_lets_the_fan_stay(*, api, clock, fan, key, apart, active):
    apart.begin()
    clock.move_to(ASKED_AT)
    tasks.renew_subscriptions()
    apart.end()

    answer = api(fan).post(one(active, "/resume"), {}, **key())

    assert (answer.status_code, answer.json()["cancel_at_period_end"]) == (200, False)


def test_others_are_renewed_as_ever(clock, tier, active, apart):
    other = make_active(tier, make_user(), paid_at=active.started_at)
    forget_events()
    apart.begin()

    clock.move_to(ASKED_AT)
    tasks.renew_subscriptions()

    asked = Subscription.objects.filter(requested_payments__state="open")
    assert list(asked.values_list("pk", flat=True)) == [other.pk]
