"""Two at once, forced by a barrier: one effect."""

import json
import time
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from eventbus.testing import deliver
from payments.exceptions import DisputedError, PurchasePendingError, RefundExceedsBalanceError
from payments.gateways.base import DisputeFacts
from payments.gateways.sandbox import SIGNATURE_HEADER, SandboxGateway
from payments.gateways.signatures import signed
from payments.models.disputes import Dispute
from payments.models.ledger import LedgerAccount, LedgerEntry, LedgerTransaction
from payments.models.orders import PaymentAttempt, PaymentOrder
from payments.models.refunds import Refund
from payments.models.sales import PostPurchase
from payments.models.sandbox import SandboxCharge
from payments.models.webhooks import GatewayEvent
from payments.services import purchases
from payments.services.charging import charge, charge_of, claim, reclaim
from payments.services.disputes import follow_dispute
from payments.services.ledger import clear_order
from payments.services.refunds import refund_payment
from payments.services.webhooks import handle_event, receive_webhook
from tests.accounts.factories import make_user
from tests.payments.factories import PostStory, make_method, make_offer, make_purchase, make_tip
from tests.races import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_worker(monkeypatch):
    """What the services ask of a worker stays undone: these tests are the workers."""
    monkeypatch.setattr("celery.canvas.Signature.delay", lambda *args, **kwargs: None)


def test_two_purchases_of_one_post_are_one(fan, offer, method):
    results = at_once(*[lambda: make_purchase(fan, offer, method)] * 2)

    assert sorted(type(result).__name__ for result in results) == ["PostPurchase", "PurchasePendingError"]
    assert PostPurchase.objects.count() == PaymentOrder.objects.count() == 1


def test_the_constraint_decides_even_when_nobody_looked_first(fan, offer, method, monkeypatch):
    make_purchase(fan, offer, method)
    looks = []

    def look_too_early(**who):
        looks.append(who)
        if len(looks) > 1:
            raise PurchasePendingError

    monkeypatch.setattr(purchases, "refuse_second_purchase", look_too_early)

    with pytest.raises(PurchasePendingError):
        make_purchase(fan, offer, method)

    assert len(looks) == 2
    assert PostPurchase.objects.count() == PaymentOrder.objects.count() == 1


def test_two_workers_capture_one_order_once(fan, creator, method, monkeypatch):
    order = make_tip(fan, creator, method).order
    asked = []
    create_payment = SandboxGateway.create_payment

    def counted(gateway, question):
        asked.append(question.key)
        return create_payment(gateway, question)

    monkeypatch.setattr(SandboxGateway, "create_payment", counted)

    results = at_once(*[lambda: charge(order_id=order.id)] * 4)

    assert results == [None] * 4
    assert asked == [f"{order.id}:1"]
    assert SandboxCharge.objects.get().status == "captured"
    order.refresh_from_db()
    assert (order.status, order.attempt_count, order.sequence) == ("succeeded", 1, 1)


def test_one_worker_claims_and_one_takes_over(fan, creator, method, monkeypatch):
    order = make_tip(fan, creator, method).order

    claims = at_once(*[lambda: claim(order_id=order.id)] * 4)
    assert sum(isinstance(claimed, PaymentAttempt) for claimed in claims) == 1
    assert claims.count(None) == 3

    PaymentOrder.objects.update(lock_acquired_at="2020-01-01T00:00:00Z")
    taken = at_once(*[lambda: reclaim(order_id=order.id)] * 4)
    assert sum(isinstance(claimed, PaymentAttempt) for claimed in taken) == 1
    assert taken.count(None) == 3


def test_the_sandbox_captures_one_key_once(fan, creator, method):
    order = make_tip(fan, creator, method).order
    attempt = claim(order_id=order.id)
    asked = charge_of(PaymentAttempt.objects.select_related("order__payment_method").get(pk=attempt.id))
    outcomes = at_once(*[lambda: SandboxGateway().create_payment(asked)] * 4)

    assert len({outcome.gateway_payment_id for outcome in outcomes}) == 1
    assert SandboxCharge.objects.count() == 1


def test_two_partial_refunds_never_exceed_the_payment(fan, offer, method):
    purchase = make_purchase(fan, offer, method)
    charge(order_id=purchase.order_id)

    def refund():
        refund_payment(order_id=purchase.order_id, amount=600, reason="other", revoke_access=False, source="payee")

    results = at_once(refund, refund)

    assert sorted(type(result) for result in results if isinstance(result, Exception)) == [RefundExceedsBalanceError]
    assert [refund.amount for refund in Refund.objects.all()] == [600]


def test_a_refund_beside_a_dispute_never_takes_more_than_was_paid(fan, offer, method):
    purchase = make_purchase(fan, offer, method)
    charge(order_id=purchase.order_id)
    contested = DisputeFacts(
        gateway_dispute_id="d1", charge_key="", amount=900, currency="USD", status="needs_response"
    )

    results = at_once(
        lambda: refund_payment(
            order_id=purchase.order_id, amount=600, reason="other", revoke_access=False, source="payee"
        ),
        lambda: follow_dispute(order_id=purchase.order_id, facts=contested),
    )

    errors = [type(result) for result in results if isinstance(result, Exception)]
    promised = sum(Refund.objects.values_list("amount", flat=True))
    assert (errors, promised, Dispute.objects.get().held_amount) in [([], 600, 300), ([DisputedError], 0, 900)]


def test_two_captures_open_one_creators_account_between_them(creator):
    orders = []
    for _ in range(4):
        payer = make_user()
        orders.append(make_tip(payer, creator, make_method(payer.id)).order)

    results = at_once(*[lambda order_id=order.id: charge(order_id=order_id) for order in orders])

    assert results == [None] * 4
    assert LedgerAccount.objects.filter(kind="creator_pending", owner_id=creator.id).count() == 1
    assert LedgerEntry.objects.of_creator(creator.id).total() == 4 * 900


def test_two_clearings_of_one_payment_are_one(fan, creator, method):
    order = make_tip(fan, creator, method).order
    charge(order_id=order.id)

    with time_machine.travel(timezone.now() + timedelta(days=8)):
        results = at_once(*[lambda: clear_order(order_id=order.id)] * 3)

    assert [type(result) for result in results] == [PaymentOrder] * 3
    assert LedgerTransaction.objects.filter(kind="clearing").count() == 1


def test_one_webhook_sent_twice_at_once_is_stored_and_handled_once(*, fan, creator, method, settings, monkeypatch):
    settings.SANDBOX_WEBHOOK_SECRETS = ["whsec"]
    order = make_tip(fan, creator, method).order
    charge(order_id=order.id)
    raw = json.dumps({"id": "evt_1", "type": "payment.captured", "livemode": False, "data": {"key": f"{order.id}:1"}})
    headers = {SIGNATURE_HEADER: signed(raw.encode(), secret="whsec", at=int(time.time()))}
    asked = []
    retrieve = SandboxGateway.retrieve

    def counted(gateway, key, **named):
        asked.append(key)
        return retrieve(gateway, key, **named)

    monkeypatch.setattr(SandboxGateway, "retrieve", counted)

    stored = at_once(*[lambda: receive_webhook(gateway="sandbox", raw=raw.encode(), headers=headers)] * 3)
    event = GatewayEvent.objects.get()
    at_once(*[lambda: handle_event(event_id=event.id)] * 3)

    event.refresh_from_db()
    assert sorted(stored) == [False, False, True]
    assert (asked, event.attempts, event.last_error) == ([f"{order.id}:1"], 1, "")


def test_a_deletion_and_captures_at_once_end_cancelled_or_refunded_without_deadlock(creator):
    story = PostStory(creator.id)
    offer = make_offer(creator.id, post_id=story.post_id)
    buyers = [make_user() for _ in range(4)]
    purchases_made = [make_purchase(buyer, offer, make_method(buyer.id)) for buyer in buyers]
    deletion = story.deleted(9)

    results = at_once(
        lambda: deliver(deletion, to="payments"),
        *[lambda order_id=purchase.order_id: charge(order_id=order_id) for purchase in purchases_made],
    )

    assert results == [None] * 5
    captured = PaymentOrder.objects.filter(status="succeeded", completed_at__gte=deletion.deleted_at)
    assert set(Refund.objects.values_list("order_id", flat=True)) == set(captured.values_list("pk", flat=True))
    assert captured.count() + PaymentOrder.objects.filter(status="cancelled").count() == 4
