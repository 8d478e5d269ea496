"""What people live through, from one room to the other, over HTTP and the bus; the books agree after each story."""

import pytest

from content.models.projections import MediaRef
from media import tasks as media_tasks
from media.models.assets import MediaAsset
from payments import tasks as payment_tasks
from payments.events import PaymentCompleted, PaymentFailed, PaymentRefunded
from payments.models.orders import PaymentOrder
from payments.models.sandbox import SandboxCharge
from subscriptions import tasks as subscription_tasks
from subscriptions.models.subscriptions import Subscription
from tests.accounts.factories import make_user
from tests.flows.world import behave_as, kept_by


def test_a_fan_subscribes_pays_and_reads(world):
    post = world.write(visibility="subscribers")
    world.settle()
    assert not world.opens(post)

    tier = world.tier(amount=1200)
    subscription = world.subscribe(tier, world.card())

    assert (subscription["status"], subscription["access_until"]) == ("incomplete", None)
    assert not world.opens(post)
    world.settle()
    paid = world.subscription(subscription)
    assert (paid["status"], paid["cycle_number"]) == ("active", 1)
    assert paid["access_until"] == paid["current_period_end"]
    assert world.opens(post)
    assert world.read(post)["body"] == "The whole story"
    assert world.payment(subscription)["status"] == "succeeded"
    assert kept_by(world.payment(subscription)["id"]) == 1200


@pytest.mark.parametrize(
    ("token", "failure_code"), [("tok_decline_soft", "insufficient_funds"), ("tok_decline_hard", "expired_card")]
)
def test_a_declined_first_payment_opens_nothing_and_leaves_the_way_free(world, token, failure_code):
    post = world.write(visibility="subscribers")
    tier, declined = world.subscribed(token=token)

    assert (declined["status"], declined["end_reason"]) == ("expired", "initial_payment_failed")
    assert declined["access_until"] is None
    assert not world.opens(post)
    assert (world.payment(declined)["status"], world.payment(declined)["failure_code"]) == ("failed", failure_code)

    again = world.subscribe(tier, world.card(token="tok_ok:other"))
    world.settle()
    assert again["id"] != declined["id"]
    assert world.subscription(again)["status"] == "active"
    assert world.opens(post)


def test_a_payer_who_must_confirm_gets_access_by_confirming(world):
    post = world.write(visibility="subscribers")
    _, waiting = world.subscribed(token="tok_3ds")
    payment = world.payment(waiting)
    assert (waiting["status"], payment["status"]) == ("incomplete", "requires_action")
    assert payment["next_action"]["type"] == "redirect"
    assert not world.opens(post)

    world.confirm(payment)
    world.settle()

    assert world.subscription(waiting)["status"] == "active"
    assert world.opens(post)
    assert world.payment(waiting)["next_action"] is None


def test_a_payer_who_fails_to_confirm_gets_none(world):
    post = world.write(visibility="subscribers")
    _, waiting = world.subscribed(token="tok_3ds_fail")

    world.confirm(world.payment(waiting))
    world.settle()

    assert world.subscription(waiting)["status"] == "expired"
    assert world.payment(waiting)["failure_code"] == "authentication_failed"
    assert not world.opens(post)


def test_a_payer_who_never_confirms_is_let_go_and_the_gateway_is_told(world):
    _, waiting = world.subscribed(token="tok_3ds")
    world.wait(minutes=31)

    world.run(payment_tasks.expire_orders)
    world.settle()

    assert world.payment(waiting)["status"] == "expired"
    assert world.subscription(waiting)["status"] == "expired"
    assert [charge.status for charge in SandboxCharge.objects.all()] == ["cancelled"]


@pytest.mark.parametrize(
    ("token", "status", "payment_status", "opens"),
    [("tok_timeout_then_ok", "active", "succeeded", True), ("tok_timeout_then_fail", "expired", "failed", False)],
)
def test_a_lost_answer_is_asked_for_again_and_never_guessed(world, token, status, payment_status, opens):
    post = world.write(visibility="subscribers")
    _, unanswered = world.subscribed(token=token)
    assert (unanswered["status"], world.payment(unanswered)["status"]) == ("incomplete", "processing")

    world.reconcile()
    world.settle()

    assert world.subscription(unanswered)["status"] == status
    assert world.payment(unanswered)["status"] == payment_status
    assert world.opens(post) is opens
    assert SandboxCharge.objects.count() == 1


def test_a_tip_reaches_the_creator_and_counts_for_the_post(world):
    post = world.write(visibility="public")
    world.settle()

    tip = world.tip(world.card(), amount=500, post_id=post["id"], message="Well walked", is_anonymous=True)
    world.settle()

    received = world.get(world.creator, f"tips/{tip['id']}")
    assert (received["status"], received["sender_id"], received["message"]) == ("completed", None, "Well walked")
    assert world.read(post, world.creator)["tips"] == [{"amount": 500, "currency": "USD"}]

    world.refund(world.payment(tip, world.creator), amount=200)
    world.settle()
    assert world.read(post, world.creator)["tips"] == [{"amount": 300, "currency": "USD"}]
    world.refund(world.payment(tip, world.creator))
    world.settle()
    assert world.read(post, world.creator)["tips"] == []
    assert world.get(world.fan, f"tips/{tip['id']}")["status"] == "refunded"


def test_a_bought_post_is_open_until_its_price_goes_back(world):
    post = world.sell(700)
    stranger = make_user()

    purchase = world.buy(post, world.card())
    world.settle()

    assert world.purchase(purchase)["status"] == "completed"
    assert world.opens(post)
    assert not world.opens(post, stranger)
    world.delete(post, expect=409)
    world.refund(world.payment(purchase))
    world.settle()
    assert world.purchase(purchase)["status"] == "refunded"
    assert not world.opens(post)
    assert kept_by(world.payment(purchase)["id"]) == 0

    again = world.buy(post, world.card())
    world.settle()
    assert world.purchase(again)["status"] == "completed"
    assert world.opens(post)


def test_a_refund_that_leaves_access_leaves_the_post_open(world):
    post = world.sell(700)
    purchase = world.buy(post, world.card())
    world.settle()

    world.refund(world.payment(purchase), revoke_access=False)
    world.settle()

    assert world.opens(post)
    assert world.payment(purchase)["status"] == "refunded"
    assert world.purchase(purchase)["status"] == "completed"


def test_a_post_deleted_while_a_payment_is_at_the_gateway_is_paid_back_and_its_files_go(world, media_files):
    file = world.upload()
    world.settle()
    post = world.sell(700, media_ids=[file])
    purchase = world.buy(post, world.card(token="tok_timeout_then_ok"))
    world.delete(post)
    world.settle()
    assert world.payment(purchase)["status"] == "processing"

    world.reconcile()
    world.settle()

    assert world.payment(purchase)["status"] == "refunded"
    assert kept_by(world.payment(purchase)["id"]) == 0
    world.read(post, expect=404)
    asset = MediaAsset.objects.get(pk=file)
    assert asset.orphaned_at is not None
    assert media_files() != []
    world.wait(days=8)
    world.run(media_tasks.collect_garbage)
    world.settle()
    assert media_files() == []
    assert MediaRef.objects.get(pk=file).status == "deleted"
    world.get(world.creator, f"media/{file}", expect=404)


def test_who_bought_before_the_creator_knew_is_paid_back_when_the_post_is_deleted(world):
    post = world.sell(700)
    purchase = world.buy(post, world.card())

    world.delete(post)  # content has not heard of the purchase yet
    world.settle()

    assert world.payment(purchase)["status"] == "refunded"
    assert world.purchase(purchase)["status"] == "refunded"
    world.read(post, expect=404)


def test_a_cancelled_subscription_runs_to_its_end_and_no_further(world):
    post = world.write(visibility="subscribers")
    tier, active = world.subscribed()

    scheduled = world.cancel(active, mode="at_period_end", reason="unused", comment="Too little time")
    world.settle()

    assert (scheduled["status"], scheduled["cancel_at_period_end"]) == ("active", True)
    assert scheduled["access_until"] == active["current_period_end"]
    assert world.opens(post)
    world.wait(days=30)
    world.run(subscription_tasks.end_cancelled_subscriptions)
    assert world.subscription(active)["status"] == "active"
    world.wait(days=2)
    assert not world.opens(post)
    world.run(subscription_tasks.end_cancelled_subscriptions)
    world.settle()
    ended = world.subscription(active)
    assert (ended["status"], ended["end_reason"]) == ("cancelled", "subscriber_request")
    assert ended["ended_at"] == active["current_period_end"]
    assert kept_by(world.payment(active)["id"]) == 1200

    again = world.subscribe(tier, world.card())
    world.settle()
    assert world.subscription(again)["status"] == "active"
    assert again["id"] != active["id"]
    assert world.opens(post)


def test_a_fan_whose_month_is_over_can_pay_for_another(world):
    post = world.write(visibility="subscribers")
    tier, active = world.subscribed()
    world.wait(days=32)
    assert not world.opens(post)

    again = world.subscribe(tier, world.card())
    world.settle()

    assert (world.subscription(active)["status"], world.subscription(active)["end_reason"]) == ("expired", "term_ended")
    assert world.subscription(again)["status"] == "active"
    assert world.opens(post)
    assert (kept_by(world.payment(active)["id"]), kept_by(world.payment(again)["id"])) == (1200, 1200)


def test_a_cancellation_that_is_taken_back_leaves_no_trace(world):
    _, active = world.subscribed()
    world.cancel(active)
    world.settle()

    resumed = world.resume(active)
    world.settle()
    world.wait(days=32)
    world.run(subscription_tasks.end_cancelled_subscriptions)

    moving = {"status", "cancel_at_period_end", "cancel_requested_at", "cancel_reason", "access_until"}
    assert {name: resumed[name] for name in moving} == {name: active[name] for name in moving}
    assert Subscription.objects.get(pk=active["id"]).status == "active"


def test_a_creator_who_ends_a_subscription_at_once_gives_the_unused_part_back(world):
    post = world.write(visibility="subscribers")
    _, active = world.subscribed(amount=3100)
    world.wait(days=10)

    world.cancel(active, world.creator, mode="immediate", refund_policy="prorated")
    world.settle()

    ended = world.subscription(active)
    assert (ended["status"], ended["end_reason"]) == ("cancelled", "creator_request")
    assert not world.opens(post)
    payment = world.payment(active)
    assert payment["status"] == "partially_refunded"
    assert payment["refunded"] == {"amount": 2099, "currency": "USD"}  # 21 of 31 days, less the seconds since


def test_a_creator_who_ends_a_subscription_may_give_everything_back(world):
    _, active = world.subscribed(amount=1200)

    world.cancel(active, world.creator, mode="immediate", refund_policy="full")
    world.settle()

    assert world.subscription(active)["end_reason"] == "creator_request"
    assert world.payment(active)["status"] == "refunded"
    assert [event.revoke_access for event in told(world, PaymentRefunded)] == [False]


def test_a_refunded_cycle_ends_the_subscription(world):
    post = world.write(visibility="subscribers")
    tier, active = world.subscribed()

    world.refund(world.payment(active))
    world.settle()

    ended = world.subscription(active)
    assert (ended["status"], ended["end_reason"]) == ("cancelled", "refunded")
    assert not world.opens(post)
    again = world.subscribe(tier, world.card())
    world.settle()
    assert world.subscription(again)["status"] == "active"


def test_a_free_tier_opens_at_once_and_costs_nothing(world):
    post = world.write(visibility="subscribers")
    world.settle()

    free = world.subscribe(world.tier(amount=0))
    assert free["status"] == "active"
    world.settle()

    assert world.opens(post)
    assert world.payments(free) == []
    world.cancel(free, world.creator, mode="immediate", refund_policy="full")
    world.settle()
    assert not world.opens(post)
    assert PaymentOrder.objects.count() == 0


def test_a_tier_opens_what_names_it_and_nothing_else(world):
    gold, silver = world.tier(name="Gold"), world.tier(name="Silver")
    world.settle()
    for_gold = world.write(visibility="tiers", tier_ids=[gold["id"]])
    for_silver = world.write(visibility="tiers", tier_ids=[silver["id"]])
    sold = world.sell(700, tier_ids=[gold["id"]])

    card = world.card()
    world.subscribe(gold, card)
    world.settle()

    assert (world.opens(for_gold), world.opens(for_silver), world.opens(sold)) == (True, False, True)
    assert world.buy(sold, card, expect=422)["code"] == "included_in_your_tier"


def test_another_choice_before_the_payment_replaces_the_first(world):
    post = world.write(visibility="subscribers")
    gold, silver = world.tier(amount=2000, name="Gold"), world.tier(amount=900, name="Silver")
    first = world.subscribe(gold, world.card(token="tok_3ds"))
    world.settle()

    second = world.subscribe(silver, world.card())
    world.settle()

    assert second["replaces_subscription_id"] == first["id"]
    assert (world.subscription(first)["status"], world.subscription(first)["end_reason"]) == ("cancelled", "replaced")
    assert world.payment(first)["status"] == "cancelled"
    assert world.subscription(second)["status"] == "active"
    assert world.opens(post)
    assert (kept_by(world.payment(first)["id"]), kept_by(world.payment(second)["id"])) == (0, 900)


def test_another_choice_after_the_first_was_captured_pays_the_first_back(world):
    gold, silver = world.tier(amount=2000, name="Gold"), world.tier(amount=900, name="Silver")
    card = world.card()
    first = world.subscribe(gold, card)
    [created] = [event for event in world.take() if getattr(event, "subscription_id", None)]
    world.deliver(created)  # the money is captured, and its news still on the way

    second = world.subscribe(silver, card)
    world.settle()

    assert world.subscription(first)["end_reason"] == "replaced"
    assert world.payment(first)["status"] == "refunded"
    assert world.subscription(second)["status"] == "active"
    assert (kept_by(world.payment(first)["id"]), kept_by(world.payment(second)["id"])) == (0, 900)


def test_the_same_choice_twice_is_one_subscription_and_one_charge(world):
    tier, card = world.tier(), world.card()

    first, second = world.subscribe(tier, card), world.subscribe(tier, card)
    world.settle()

    assert first["id"] == second["id"]
    assert len(told(world, PaymentCompleted)) == 1
    assert world.subscribe(tier, card, expect=409)["code"] == "already_subscribed"
    world.settle()
    assert SandboxCharge.objects.count() == 1


def test_a_payer_who_calls_a_payment_off_has_no_subscription(world):
    _, waiting = world.subscribed(token="tok_3ds")

    world.post(world.fan, f"payments/{world.payment(waiting)['id']}/cancel", expect=200)
    world.settle()

    assert [event.failure_code for event in told(world, PaymentFailed)] == ["cancelled_by_payer"]
    assert world.subscription(waiting)["status"] == "expired"
    assert [charge.status for charge in SandboxCharge.objects.all()] == ["cancelled"]


def test_a_withdrawn_post_stays_with_its_buyers(world):
    post = world.sell(700)
    world.buy(post, world.card())
    world.settle()

    world.post(world.creator, f"posts/{post['id']}/withdraw", expect=200)
    world.settle()

    stranger = make_user()
    assert world.opens(post)
    world.read(post, stranger, expect=404)
    assert world.buy(post, world.card(stranger), stranger, expect=422)["code"] == "not_for_sale"


def test_a_post_comes_out_when_its_file_is_ready(world):
    file = world.upload()
    uploaded = world.take()
    world.deliver(*uploaded, to="content")

    post = world.write(visibility="public", media_ids=[file])
    assert post["status"] == "awaiting_media"
    world.settle()
    world.read(post, expect=404)

    world.deliver(*uploaded, to="media")
    world.settle()
    shown = world.read(post)
    assert (shown["is_locked"], shown["media"][0]["status"]) == (False, "ready")
    address = world.get(world.fan, f"posts/{post['id']}/media/{file}/url?variant=thumb_320")["url"]
    assert b"".join(world.client(None).get(address).streaming_content)[8:12] == b"WEBP"


def told(world, event_class):
    """The events of this class that were told so far."""
    return [event for event in world.told if type(event) is event_class]


def test_a_card_that_recovers_lets_the_fan_in(world):
    tier, card = world.tier(), world.card(token="tok_decline_soft")
    world.subscribe(tier, card)
    world.settle()
    behave_as(card, "tok_ok")

    second = world.subscribe(tier, card)
    world.settle()

    assert world.subscription(second)["status"] == "active"
    assert [event.attempt_number for event in told(world, PaymentCompleted)] == [1]
