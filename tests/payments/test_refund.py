"""Money on its way back."""

from datetime import timedelta

import pytest
import time_machine
from django.db import IntegrityError, transaction
from django.utils import timezone

from eventbus.testing import published
from payments import tasks
from payments.events import PaymentRefunded, RefundReason, RefundSource
from payments.exceptions import (
    AlreadyRefundedError,
    InvalidTransitionError,
    OutsideRefundWindowError,
    RefundExceedsBalanceError,
)
from payments.gateways.base import RefundRefused
from payments.models.refunds import Refund
from payments.models.sandbox import SandboxRefund
from payments.services.refunds import record_refund, refund_payment
from tests.payments.factories import make_purchase, make_tip


@pytest.fixture
def bought(fan, offer, method, background):
    with background():
        purchase = make_purchase(fan, offer, method)
    purchase.refresh_from_db()
    return purchase


def give_back(purchase, amount=None, **fields):
    defaults = {"reason": "requested_by_customer", "revoke_access": True, "source": "payee"}
    return refund_payment(order_id=purchase.order_id, amount=amount, **{**defaults, **fields})


def test_a_full_refund_takes_the_post_back(bought, background):
    with background():
        refund = give_back(bought, requested_by=bought.creator_id)

    bought.refresh_from_db()
    refund.refresh_from_db()
    assert (refund.status, refund.amount, refund.requested_by) == ("succeeded", 900, bought.creator_id)
    assert (bought.status, bought.order.status, bought.order.refunded_amount) == ("refunded", "refunded", 900)
    assert bought.revoked_at == refund.finished_at
    [told] = published(PaymentRefunded)
    assert (told.refund_id, told.refund_amount, told.refunded_total, told.is_full) == (refund.id, 900, 900, True)
    assert (told.reason, told.source) == (RefundReason.REQUESTED_BY_CUSTOMER, RefundSource.PAYEE)
    assert (told.revoke_access, told.sequence, told.metadata.purchase_id) == (True, 2, bought.id)


def test_a_post_may_be_bought_again_after_its_refund(bought, fan, offer, method, background):
    with background():
        give_back(bought)
    with background():
        again = make_purchase(fan, offer, method)

    again.refresh_from_db()
    assert again.status == "completed"


def test_partial_refunds_leave_the_post_and_end_at_the_amount(bought, background):
    with background():
        give_back(bought, 400, revoke_access=False)
    bought.refresh_from_db()
    assert (bought.status, bought.order.status) == ("completed", "partially_refunded")

    with background(), pytest.raises(RefundExceedsBalanceError):
        give_back(bought, 501)
    with background():
        give_back(bought, 500, revoke_access=False)

    bought.refresh_from_db()
    assert (bought.status, bought.order.status, bought.order.refunded_amount) == ("completed", "refunded", 900)
    assert [(e.refund_amount, e.refunded_total, e.is_full) for e in published(PaymentRefunded)] == [
        (400, 400, False),
        (500, 900, True),
    ]


def test_promised_refunds_count_before_they_are_sent(bought):
    give_back(bought, 600)

    with pytest.raises(RefundExceedsBalanceError):
        give_back(bought, 301)
    give_back(bought, 300)
    with pytest.raises(AlreadyRefundedError):
        give_back(bought)

    assert sorted(Refund.objects.values_list("amount", flat=True)) == [300, 600]


def test_what_never_came_cannot_go_back(fan, offer, method):
    purchase = make_purchase(fan, offer, method)

    with pytest.raises(InvalidTransitionError):
        give_back(purchase)

    assert Refund.objects.count() == 0


def test_a_payee_has_a_window_and_staff_has_none(bought, settings):
    with time_machine.travel(timezone.now() + timedelta(days=settings.REFUND_WINDOW_DAYS, seconds=1)):
        with pytest.raises(OutsideRefundWindowError):
            give_back(bought)
        assert Refund.objects.count() == 0

        give_back(bought, source="staff")

    assert Refund.objects.get().source == "staff"


def test_a_lost_call_is_made_good_and_a_refund_is_given_once(bought, background):
    give_back(bought)
    assert SandboxRefund.objects.count() == 0

    with background():
        tasks.refund_due()
    with time_machine.travel(timezone.now() + timedelta(hours=1)), background():
        tasks.refund_due()
        tasks.send_refund(str(Refund.objects.get().id))

    assert SandboxRefund.objects.get().amount == 900
    assert len(published(PaymentRefunded)) == 1


def test_a_refused_refund_frees_its_amount(bought):
    refund = give_back(bought)

    record_refund(refund_id=refund.id, answer=RefundRefused(code="closed_card"))

    refund.refresh_from_db()
    bought.refresh_from_db()
    assert (refund.status, refund.refusal, bought.status) == ("failed", "closed_card", "completed")
    assert bought.order.refunded_amount == 0
    assert published(PaymentRefunded) == []
    assert give_back(bought).amount == 900


def test_a_tip_goes_back(fan, creator, method, background):
    with background():
        tip = make_tip(fan, creator, method)
    with background():
        give_back(tip)

    tip.refresh_from_db()
    assert (tip.status, tip.order.status) == ("refunded", "refunded")


def test_the_database_refuses_more_back_than_came(bought):
    bought.order.refunded_amount = 901

    with pytest.raises(IntegrityError, match="refunds_fit"), transaction.atomic():
        bought.order.save(update_fields=["refunded_amount"])


@pytest.mark.parametrize(
    ("amount", "said", "revoked"),
    [(None, None, True), (900, None, True), (300, None, False), (300, True, True), (None, False, False)],
)
def test_access_goes_with_the_last_of_the_money_unless_somebody_says_otherwise(
    bought, background, amount, said, revoked
):
    with background():
        refund = give_back(bought, amount, revoke_access=said)

    bought.refresh_from_db()
    assert (refund.revoke_access, bought.status == "refunded") == (revoked, revoked)
    assert [event.revoke_access for event in published(PaymentRefunded)] == [revoked]


def test_the_rest_of_a_payment_takes_the_access_with_it(bought, background):
    with background():
        give_back(bought, 300, revoke_access=None)
    with background():
        give_back(bought, 600, revoke_access=None)

    bought.refresh_from_db()
    assert bought.status == "refunded"
    assert [event.revoke_access for event in published(PaymentRefunded)] == [False, True]
