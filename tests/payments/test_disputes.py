"""Payments that are contested: held, then kept or gone."""

from datetime import timedelta

import pytest
import time_machine
from django.db import IntegrityError, transaction
from django.utils import timezone

from eventbus.testing import deliver, published
from payments import tasks
from payments.events import PaymentRefunded, RefundReason, RefundSource
from payments.exceptions import DisputedError, GatewayMismatchError, InvalidTransitionError
from payments.gateways.base import DisputeFacts, RefundRefused
from payments.gateways.sandbox import SandboxGateway
from payments.models.disputes import Dispute
from payments.models.ledger import LedgerEntry, LedgerTransaction
from payments.models.methods import PaymentMethod
from payments.models.orders import PaymentOrder
from payments.models.refunds import Refund
from payments.models.sandbox import SandboxDispute
from payments.selectors import earnings_of
from payments.services.disputes import follow_dispute
from payments.services.refunds import record_refund, refund_on_request, refund_payment
from payments.services.verification import first_fault
from tests.payments.factories import PostStory, SubscriptionStory, make_offer, make_purchase, make_tip, use_token


@pytest.fixture
def purchase(fan, offer, method, background):
    """A bought post of 900 (810 the creator's) whose buyer will contest it."""
    use_token(method, "tok_dispute")
    with background():
        bought = make_purchase(fan, offer, method)
    bought.refresh_from_db()
    return bought


def facts(order, status="needs_response", **fields):
    defaults = {
        "gateway_dispute_id": "d1",
        "charge_key": f"{order.id}:1",
        "amount": order.amount,
        "currency": order.currency,
        "reason": "fraudulent",
    }
    return DisputeFacts(**{**defaults, **fields}, status=status)


def follow(order, status="needs_response", **fields):
    dispute = follow_dispute(order_id=order.id, facts=facts(order, status, **fields))
    order.refresh_from_db()
    return dispute


def balances(creator):
    [earned] = earnings_of(creator.id)
    return earned.pending, earned.payable, earned.held


def test_the_sandbox_contests_what_it_is_told_to(purchase):
    told = SandboxGateway().retrieve_dispute(SandboxDispute.objects.get().gateway_dispute_id)

    assert (told.charge_key, told.amount, told.currency) == (f"{purchase.order_id}:1", 900, "USD")
    assert told.status == "needs_response"
    assert SandboxGateway().retrieve_dispute("unknown") is None


def test_an_open_dispute_holds_the_money_and_ends_the_card(purchase, creator):
    order = purchase.order
    dispute = follow(order)

    assert (order.status, dispute.status, dispute.held_amount, dispute.creator_share) == (
        "disputed",
        "needs_response",
        900,
        810,
    )
    assert balances(creator) == (0, 0, 810)
    assert PaymentMethod.objects.get().status == "invalid"
    assert published(PaymentRefunded) == []
    purchase.refresh_from_db()
    assert purchase.status == "completed"
    assert first_fault() is None


def test_a_won_dispute_leaves_everything_as_it_was(purchase, creator):
    order = purchase.order
    follow(order)
    follow(order, "under_review")
    dispute = follow(order, "won")

    assert (order.status, dispute.status, order.refunded_amount) == ("succeeded", "won", 0)
    assert balances(creator) == (810, 0, 0)
    assert published(PaymentRefunded) == []
    assert first_fault() is None


def test_a_lost_dispute_takes_the_money_and_what_it_paid_for(purchase, creator):
    order = purchase.order
    follow(order)
    dispute = follow(order, "lost")

    purchase.refresh_from_db()
    assert (order.status, order.refunded_amount) == ("reversed", 900)
    assert (purchase.status, purchase.revoked_at) == ("refunded", dispute.closed_at)
    [told] = published(PaymentRefunded)
    assert (told.source, told.reason, told.revoke_access) == (RefundSource.DISPUTE, RefundReason.FRAUDULENT, True)
    assert (told.refund_id, told.refund_amount, told.is_full, told.sequence) == (dispute.refund_id, 900, True, 2)
    assert balances(creator) == (0, 0, 0)
    assert LedgerEntry.objects.filter(account__kind="payer_clearing").total() == 0
    assert first_fault() is None


def test_a_dispute_is_followed_once_however_often_it_is_told_and_never_reopened(purchase, creator):
    order = purchase.order
    for status in ("lost", "lost", "needs_response", "won"):
        follow(order, status)

    assert Dispute.objects.get().status == "lost"
    assert len(published(PaymentRefunded)) == Refund.objects.count() == 1
    kinds = LedgerTransaction.objects.filter(source_type="dispute").values_list("kind", flat=True)
    assert sorted(kinds) == ["dispute_lost", "dispute_opened"]


def test_a_dispute_after_the_clearing_takes_what_was_payable(purchase, creator):
    order = purchase.order
    with time_machine.travel(timezone.now() + timedelta(days=8), tick=False):
        tasks.clear_due()
        order.refresh_from_db()
        follow(order)
        assert balances(creator) == (0, 0, 810)
        follow(order, "won")
        assert balances(creator) == (0, 810, 0)
    assert first_fault() is None


def test_disputed_money_does_not_clear(purchase, creator):
    order = purchase.order
    follow(order)
    with time_machine.travel(timezone.now() + timedelta(days=8), tick=False):
        tasks.clear_due()
        assert balances(creator) == (0, 0, 810)
        follow(order, "won")
        tasks.clear_due()

    assert balances(creator) == (0, 810, 0)


def test_disputed_money_is_not_given_back_as_well(purchase, creator):
    follow(purchase.order)

    with pytest.raises(DisputedError):
        refund_payment(order_id=purchase.order_id, amount=1, reason="other", revoke_access=False, source="staff")
    assert Refund.objects.count() == 0


def test_the_api_says_that_it_is_disputed(purchase, creator, as_user, key):
    follow(purchase.order)

    answer = as_user(creator).post(f"/api/v1/payments/{purchase.order_id}/refunds", {"reason": "other"}, headers=key())

    assert (answer.status_code, answer.json()["code"]) == (409, "disputed")


@pytest.fixture
def disputed_and_deleted(fan, creator, method, background):
    """The order of a post that its buyer contests and whose creator has deleted it since."""
    use_token(method, "tok_dispute")
    story = PostStory(creator.id)
    with background():
        make_purchase(fan, make_offer(creator.id, post_id=story.post_id), method)
    order = PaymentOrder.objects.get()
    follow(order)
    with background():
        deliver(story.deleted(9, refund_purchases=True), to="payments")
    return order


def test_the_refund_of_a_disputed_payment_waits_for_the_bank(disputed_and_deleted):
    order = disputed_and_deleted
    refund = Refund.objects.get()
    assert (refund.status, refund.amount) == ("waiting", order.amount)
    assert published(PaymentRefunded) == []

    follow(order, "lost")

    refund.refresh_from_db()
    assert (refund.status, refund.refusal, order.status) == ("failed", "disputed", "reversed")
    assert order.refunded_amount == order.amount


def test_a_refund_that_waited_is_made_when_the_dispute_is_won(disputed_and_deleted, background):
    order = disputed_and_deleted
    SandboxDispute.objects.update(status="won")

    with background():
        follow(order, "won")

    order.refresh_from_db()
    assert (Refund.objects.get().status, order.status, order.refunded_amount) == ("succeeded", "refunded", order.amount)
    assert first_fault() is None


@pytest.fixture
def refused(purchase, background):
    """A refund that the gateway refuses because of a dispute that nobody here has heard of."""
    with background():
        refund_payment(order_id=purchase.order_id, amount=None, reason="other", revoke_access=None, source="staff")
    return Refund.objects.get()


def test_a_refund_refused_for_a_dispute_not_heard_of_waits_for_the_bank_too(purchase, refused, background):
    assert (refused.status, refused.finished_at, published(PaymentRefunded)) == ("waiting", None, [])
    follow(purchase.order)
    SandboxDispute.objects.update(status="won")

    with background():
        follow(purchase.order, "won")

    refused.refresh_from_db()
    assert (refused.status, purchase.order.refunded_amount) == ("succeeded", 0)
    purchase.order.refresh_from_db()
    assert (purchase.order.status, purchase.order.refunded_amount) == ("refunded", 900)


def test_an_old_refusal_that_comes_after_the_bank_has_decided_is_asked_again_or_ends(purchase, refused):
    contested = RefundRefused(code="charge_disputed")
    for verdict, expected in (("won", "pending"), ("lost", "failed")):
        Refund.objects.update(status="pending")
        follow(purchase.order, verdict, gateway_dispute_id=verdict)

        assert record_refund(refund_id=refused.id, answer=contested).status == expected


def test_what_a_lost_part_leaves_is_given_back(fan, creator, method, background):
    with background():
        order = make_tip(fan, creator, method).order
    follow(order, amount=300)
    refund_on_request(payment_id=order.id, amount=None, reason="duplicate")

    with background():
        follow(order, "lost", amount=300)

    order.refresh_from_db()
    assert (Refund.objects.get(source="system").amount, order.refunded_amount) == (700, 1000)
    assert first_fault() is None


def test_a_dispute_of_what_was_given_back_in_part_holds_the_rest(fan, creator, method, background):
    with background():
        order = make_tip(fan, creator, method).order
    with background():
        refund_payment(order_id=order.id, amount=400, reason="other", revoke_access=False, source="staff")
    dispute = follow(order)
    assert (dispute.held_amount, dispute.creator_share, balances(creator)) == (600, 540, (0, 0, 540))

    follow(order, "lost")

    assert (order.status, order.refunded_amount) == ("reversed", 1000)
    assert balances(creator) == (0, 0, 0)
    # The payer has 1400 of 1000: the platform lost what the bank took a second time.
    assert LedgerEntry.objects.filter(account__kind="platform_revenue").total() == -400
    assert LedgerEntry.objects.filter(account__kind="payer_clearing").total() == 400
    assert first_fault() is None


def test_a_dispute_of_a_part_leaves_the_rest(fan, creator, method, background):
    with background():
        order = make_tip(fan, creator, method).order
    follow(order, amount=300)
    assert (order.status, balances(creator)) == ("disputed", (630, 0, 270))

    follow(order, "lost", amount=300)

    assert (order.status, order.refunded_amount, balances(creator)) == ("partially_refunded", 300, (630, 0, 0))
    assert [event.is_full for event in published(PaymentRefunded)] == [False]
    assert first_fault() is None


def test_a_dispute_of_what_was_all_given_back_is_the_platforms_loss(fan, creator, method, background):
    with background():
        order = make_tip(fan, creator, method).order
    with background():
        refund_payment(order_id=order.id, amount=None, reason="other", revoke_access=False, source="staff")
    follow(order)
    assert (order.status, balances(creator)) == ("refunded", (0, 0, 0))

    follow(order, "lost")

    assert (order.status, order.refunded_amount, Refund.objects.count()) == ("refunded", 1000, 1)
    assert LedgerEntry.objects.filter(account__kind="platform_revenue").total() == -1000
    assert first_fault() is None


def test_a_refund_on_its_way_is_not_held_as_well(fan, creator, method, background):
    with background():
        order = make_tip(fan, creator, method).order
    refund_payment(order_id=order.id, amount=400, reason="other", revoke_access=False, source="staff")

    dispute = follow(order)
    assert dispute.held_amount == 600
    with background():
        tasks.refund_due()

    order.refresh_from_db()
    assert (order.status, order.refunded_amount) == ("disputed", 400)
    assert first_fault() is None


def test_a_lost_cycle_is_told_to_its_room(fan, creator, method, background):
    story = SubscriptionStory(fan.id, creator.id, method.id)
    with background():
        deliver(story.created(), to="payments")
    order = PaymentOrder.objects.get()
    follow(order, "lost")

    [told] = published(PaymentRefunded)
    assert (told.metadata.subscription_id, told.cycle_number) == (story.subscription_id, 1)
    assert (told.source, told.revoke_access) == (RefundSource.DISPUTE, True)


@pytest.mark.parametrize("wrong", [{"currency": "EUR"}, {"amount": 901}, {"amount": 0}])
def test_a_dispute_of_something_else_is_for_a_person_to_look_at(purchase, creator, wrong):
    with pytest.raises(GatewayMismatchError):
        follow(purchase.order, **wrong)

    purchase.order.refresh_from_db()
    assert (purchase.order.status, Dispute.objects.count(), balances(creator)) == ("succeeded", 0, (810, 0, 0))


def test_what_was_not_captured_cannot_be_disputed(fan, creator, method):
    order = make_tip(fan, creator, method).order

    with pytest.raises(InvalidTransitionError, match="pending"):
        follow(order)


def test_the_database_keeps_one_open_dispute_for_a_payment(purchase):
    follow(purchase.order)

    with pytest.raises(IntegrityError, match="one_open_dispute_per_payment"), transaction.atomic():
        follow(purchase.order, gateway_dispute_id="d2")
