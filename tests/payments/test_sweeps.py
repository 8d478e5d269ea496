"""A sweep goes on past the row that it cannot deal with."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from payments import tasks
from payments.models.orders import PaymentOrder
from payments.services import ledger, orders
from tests.payments.factories import make_tip

LATER = timedelta(days=8)  # every time to pay is over, and every time to clear


@pytest.fixture
def broken(monkeypatch):
    """Lets a service fail for one order, and counts how often it is tried."""

    def breaks(module, name, order_id):
        service, tried = getattr(module, name), []

        def failing(**given):
            if given["order_id"] != order_id:
                return service(**given)
            tried.append(order_id)
            raise RuntimeError("this row is damaged")

        monkeypatch.setattr(module, name, failing)
        return tried

    return breaks


def test_an_order_that_cannot_be_cleared_holds_up_no_other(*, fan, creator, method, background, broken, caplog):
    with background():
        damaged, sound = make_tip(fan, creator, method), make_tip(fan, creator, method)
    tried = broken(ledger, "clear_order", damaged.order_id)

    with time_machine.travel(timezone.now() + LATER):
        tasks.clear_due()

    cleared = PaymentOrder.objects.filter(cleared_at__isnull=False)
    assert list(cleared.values_list("pk", flat=True)) == [sound.order_id]
    assert tried == [damaged.order_id]
    assert f"could not deal with payment {damaged.order_id}" in caplog.text


def test_an_order_that_cannot_be_expired_holds_up_no_other(*, fan, creator, method, broken, caplog):
    damaged, sound = make_tip(fan, creator, method), make_tip(fan, creator, method)
    tried = broken(orders, "expire_order", damaged.order_id)

    with time_machine.travel(timezone.now() + LATER):
        tasks.expire_orders()

    assert dict(PaymentOrder.objects.values_list("pk", "status")) == {
        damaged.order_id: "pending",
        sound.order_id: "expired",
    }
    assert tried == [damaged.order_id]
    assert f"could not deal with payment {damaged.order_id}" in caplog.text
