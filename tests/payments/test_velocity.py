"""Who tries out stolen cards is stopped, told for how long, and costs the gateway nothing."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from eventbus.testing import deliver, published
from payments.events import PaymentFailed
from payments.exceptions import TooManyDeclinesError
from payments.models.methods import PaymentMethod
from payments.models.orders import PaymentOrder
from payments.models.sales import Tip
from payments.models.sandbox import SandboxCharge
from payments.services.velocity import lock_left, refuse_card_testing
from tests.accounts.factories import make_user
from tests.payments.factories import SubscriptionStory, make_method, make_tip, use_token

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def declined(fan, creator, method, background):
    """Five declines, a minute apart, the last of them now."""
    use_token(method, "tok_decline_soft")
    with time_machine.travel(NOW - timedelta(minutes=4), tick=False) as clock:
        for _ in range(5):
            with background():
                make_tip(fan, creator, method)
            clock.shift(timedelta(minutes=1))
        clock.move_to(NOW, tick=False)
        use_token(method, "tok_ok")
        yield clock


def test_four_declines_lock_nobody(fan, creator, method, background):
    use_token(method, "tok_decline_soft")
    for _ in range(4):
        with background():
            make_tip(fan, creator, method)

    refuse_card_testing(payer_id=fan.id)


def test_the_fifth_decline_locks_until_the_first_of_them_is_an_hour_old(declined, fan):
    assert lock_left(payer_id=fan.id) == timedelta(minutes=56)
    declined.shift(timedelta(minutes=55, seconds=59))
    assert lock_left(payer_id=fan.id) == timedelta(seconds=1)
    declined.shift(timedelta(seconds=1))
    assert lock_left(payer_id=fan.id) == timedelta()


def test_another_payer_is_not_locked(declined):
    assert lock_left(payer_id=make_user().id) == timedelta()


def test_the_answer_says_what_to_do_and_when(*, declined, fan, creator, method, as_user, key):
    tip = {"recipient_id": str(creator.id), "amount": 500, "currency": "USD", "payment_method_id": str(method.id)}

    answer = as_user(fan).post("/api/v1/tips", tip, headers=key())

    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (429, "too_many_declines", "3360")
    assert "Ask the card's bank why; you can pay again in 56 minutes." in answer.json()["detail"]
    assert Tip.objects.count() == 5


def test_no_card_is_added_meanwhile(declined, fan, as_user, key):
    answer = as_user(fan).post("/api/v1/payment-methods", {"token": "tok_ok:other"}, headers=key())

    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_declines")
    assert PaymentMethod.objects.count() == 1


def test_no_subscription_is_charged_meanwhile(declined, fan, creator, method, background):
    story = SubscriptionStory(fan.id, creator.id, method.id)
    with background():
        deliver(story.created(), to="payments")

    order = PaymentOrder.objects.get(kind="subscription")
    assert (order.status, order.failure_code) == ("failed", "fraud_suspected")
    assert published(PaymentFailed)[-1].failure_code == "fraud_suspected"
    assert SandboxCharge.objects.count() == 5


def test_what_was_sent_at_the_same_moment_stops_at_the_fifth_decline(fan, creator, method, background):
    use_token(method, "tok_decline_soft")
    with background():
        for _ in range(9):
            make_tip(fan, creator, method)

    codes = sorted(PaymentOrder.objects.values_list("failure_code", flat=True))
    assert codes == ["fraud_suspected"] * 4 + ["insufficient_funds"] * 5
    assert SandboxCharge.objects.count() == 5


def test_the_lock_ends_by_itself(declined, fan, creator, method, background):
    with pytest.raises(TooManyDeclinesError):
        make_tip(fan, creator, method)
    declined.shift(timedelta(minutes=56))

    with background():
        tip = make_tip(fan, creator, method)

    tip.order.refresh_from_db()
    assert tip.order.status == "succeeded"


def test_the_eleventh_payment_of_a_minute_is_refused(fan, creator, method, as_user, key):
    client = as_user(fan)
    tip = {"recipient_id": str(creator.id), "amount": 500, "currency": "USD", "payment_method_id": str(method.id)}
    with time_machine.travel(NOW, tick=False):
        codes = [client.post("/api/v1/tips", tip, headers=key()).status_code for _ in range(11)]
        refused = client.post("/api/v1/tips", tip, headers=key())

    assert codes == [201] * 10 + [429]
    assert (refused.json()["code"], refused["Retry-After"]) == ("rate_limited", "60")
    assert Tip.objects.count() == 10


def test_the_sixty_first_payment_of_a_day_is_refused(fan, creator, method, as_user, key):
    client = as_user(fan)
    tip = {"recipient_id": str(creator.id), "amount": 500, "currency": "USD", "payment_method_id": str(method.id)}
    with time_machine.travel(NOW, tick=False) as clock:
        for _ in range(6):
            assert {client.post("/api/v1/tips", tip, headers=key()).status_code for _ in range(10)} == {201}
            clock.shift(timedelta(minutes=1))
        refused = client.post("/api/v1/tips", tip, headers=key())

    assert (refused.status_code, refused["Retry-After"]) == (429, str((12 * 60 - 6) * 60))
    assert Tip.objects.count() == 60


def test_a_payer_whose_card_works_is_never_locked(fan, creator, background):
    card = make_method(fan.id)
    for _ in range(7):
        with background():
            make_tip(fan, creator, card)

    assert lock_left(payer_id=fan.id) == timedelta()
