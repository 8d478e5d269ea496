"""Webhooks: who may knock, what is kept, and that what is true is asked of the gateway."""

import json
import time
from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from django.conf import settings as django_settings
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from eventbus.testing import published
from payments import tasks
from payments.events import PaymentCompleted, PaymentFailed, PaymentRefunded
from payments.gateways.base import Captured, GatewayUnavailableError
from payments.gateways.sandbox import SIGNATURE_HEADER, SandboxGateway
from payments.gateways.signatures import signed
from payments.models.disputes import Dispute
from payments.models.orders import PaymentAttempt, PaymentOrder
from payments.models.sandbox import SandboxCharge, SandboxDispute
from payments.models.webhooks import GatewayEvent
from payments.services import webhooks
from payments.services.charging import claim
from tests.accounts.factories import make_user
from tests.payments.factories import make_tip, use_token

URL = "/api/v1/webhooks/sandbox"
SECRET, OLDER = "whsec_current", "whsec_older"


@pytest.fixture(autouse=True)
def _secrets(settings, db):
    settings.SANDBOX_WEBHOOK_SECRETS = [SECRET, OLDER]


def body_of(**fields):
    event = {"id": f"evt_{uuid4().hex}", "type": "payment.captured", "livemode": False, "data": {"key": "x:1"}}
    return json.dumps({**event, **fields}).encode()


def signature(raw, *, secret=SECRET, age=0):
    return signed(raw, secret=secret, at=int(time.time()) - age)


def knock(raw, header=None, *, url=URL, content_type="application/json"):
    header = signature(raw) if header is None else header
    return APIClient().generic("POST", url, raw, content_type=content_type, headers={SIGNATURE_HEADER: header})


def answered(response):
    return response.status_code, response.json()["code"] if response.content else None


def test_a_signed_event_is_stored_and_answered_before_it_is_handled():
    raw = body_of(id="evt_1")

    assert answered(knock(raw)) == (202, None)

    event = GatewayEvent.objects.get()
    assert (event.gateway, event.external_id, event.type, event.livemode) == (
        "sandbox",
        "evt_1",
        "payment.captured",
        False,
    )
    assert (event.payload, event.handled_at, event.attempts) == (json.loads(raw), None, 0)


def test_the_same_event_again_is_a_duplicate_whatever_its_body():
    assert answered(knock(body_of(id="evt_1"))) == (202, None)
    assert answered(knock(body_of(id="evt_1"))) == (200, None)
    assert answered(knock(body_of(id="evt_1", type="payment.declined"))) == (200, None)

    assert GatewayEvent.objects.get().type == "payment.captured"


RAW = body_of(id="evt_matrix")
OTHER = body_of(id="evt_other")
WHOLE = "t={t},v1={v1}"


def header(pattern=WHOLE, **fields):
    """A header out of the parts of a right one."""
    at, v1 = signature(RAW).removeprefix("t=").split(",v1=")
    return pattern.format(**{"t": at, "v1": v1, **fields})


# What is sent, and what must be answered; each call makes it when the test runs, for signatures have a time.
MATRIX = {
    "right": (lambda: (RAW, header()), 202, None),
    "right, of the older secret": (lambda: (RAW, signature(RAW, secret=OLDER)), 202, None),
    "right, beside one of a secret we do not hold": (
        lambda: (RAW, header("t={t},v1=" + "0" * 64 + ",v1={v1}")),
        202,
        None,
    ),
    "right, beside a scheme we do not know": (lambda: (RAW, header("t={t},v0=abc,v1={v1},v2=xyz")), 202, None),
    "right, with spaces": (lambda: (RAW, header("t={t}, v1={v1}")), 202, None),
    "almost five minutes old": (lambda: (RAW, signature(RAW, age=295)), 202, None),
    "almost five minutes ahead": (lambda: (RAW, signature(RAW, age=-295)), 202, None),
    "too old": (lambda: (RAW, signature(RAW, age=302)), 400, "stale_webhook"),
    "ahead": (lambda: (RAW, signature(RAW, age=-302)), 400, "stale_webhook"),
    "no signature": (lambda: (RAW, ""), 401, "bad_signature"),
    "another secret": (lambda: (RAW, signature(RAW, secret="whsec_forged")), 401, "bad_signature"),
    "the empty secret": (lambda: (RAW, signature(RAW, secret="")), 401, "bad_signature"),
    "another body": (lambda: (OTHER, signature(RAW)), 401, "bad_signature"),
    "one byte more": (lambda: (RAW + b" ", signature(RAW)), 401, "bad_signature"),
    "another time": (lambda: (RAW, header(t=str(int(time.time()) - 7))), 401, "bad_signature"),
    "two times": (lambda: (RAW, header("t=1,t={t},v1={v1}")), 401, "bad_signature"),
    "no time": (lambda: (RAW, header("v1={v1}")), 401, "bad_signature"),
    "a time that is none": (lambda: (RAW, header("t=now,v1={v1}")), 401, "bad_signature"),
    "a time of other digits": (lambda: (RAW, header("t=١٢٣,v1={v1}").encode().decode("latin-1")), 401, "bad_signature"),
    "a huge time": (lambda: (RAW, header(t="9" * 400)), 401, "bad_signature"),
    "a negative time": (lambda: (RAW, header(t="-1")), 401, "bad_signature"),
    "only another scheme": (lambda: (RAW, header("t={t},v0={v1}")), 401, "bad_signature"),
    "upper case": (lambda: (RAW, header().upper()), 401, "bad_signature"),
    "cut short": (lambda: (RAW, header()[:-1]), 401, "bad_signature"),
    "signed and no JSON": (lambda: (b"{", signature(b"{")), 400, "malformed_webhook"),
    "signed and empty": (lambda: (b"", signature(b"")), 400, "malformed_webhook"),
    "signed and no object": (lambda: (b"[1]", signature(b"[1]")), 400, "malformed_webhook"),
    "signed and not UTF-8": (lambda: (b"\xff", signature(b"\xff")), 400, "malformed_webhook"),
    "signed without id": (lambda: (raw := body_of(id=""), signature(raw)), 400, "malformed_webhook"),
    "signed with an id that is no text": (lambda: (raw := body_of(id=7), signature(raw)), 400, "malformed_webhook"),
    "signed with a huge id": (lambda: (raw := body_of(id="e" * 256), signature(raw)), 400, "malformed_webhook"),
    "signed with a NUL": (lambda: (raw := body_of(id="e\0"), signature(raw)), 400, "malformed_webhook"),
    "signed without type": (lambda: (raw := body_of(type=None), signature(raw)), 400, "malformed_webhook"),
    "signed without mode": (lambda: (raw := body_of(livemode="no"), signature(raw)), 400, "malformed_webhook"),
    "signed and live": (lambda: (raw := body_of(livemode=True), signature(raw)), 400, "livemode_mismatch"),
    "256 KiB": (lambda: (raw := padded(256 * 1024), signature(raw)), 202, None),
    "one byte beyond": (lambda: (raw := padded(256 * 1024 + 1), signature(raw)), 413, "payload_too_large"),
    "a megabyte": (lambda: (raw := padded(1024 * 1024), signature(raw)), 413, "payload_too_large"),
}


def padded(size):
    """A right event of so many bytes."""
    raw = body_of(id="evt_padded", padding="")
    return raw.replace(b'"padding": ""', b'"padding": "' + b"x" * (size - len(raw)) + b'"')


@pytest.mark.parametrize("case", MATRIX)
def test_the_matrix_of_knocks(case):
    knocking, status, code = MATRIX[case]

    assert answered(knock(*knocking())) == (status, code)
    assert GatewayEvent.objects.count() == (1 if status == 202 else 0)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "nonsense"])
def test_the_raw_body_counts_whatever_it_calls_itself(content_type):
    assert answered(knock(body_of(), content_type=content_type)) == (202, None)


@pytest.mark.parametrize("name", ["acme", "stripe-2", "web"])
def test_a_gateway_that_is_not_there_has_no_door(name):
    raw = body_of()

    response = knock(raw, url=f"/api/v1/webhooks/{name}")
    missing = APIClient().post("/api/v1/nowhere")

    assert answered(response) == (404, "not_found")
    assert {**response.json(), "trace_id": ""} == {**missing.json(), "trace_id": ""}


def test_without_a_secret_there_is_no_door(settings):
    settings.SANDBOX_WEBHOOK_SECRETS = []
    raw = body_of()

    assert answered(knock(raw, signature(raw, secret=""))) == (404, "not_found")


def test_a_gateway_that_may_not_be_used_has_no_door(settings):
    settings.ALLOW_SANDBOX_GATEWAY = False

    assert answered(knock(body_of())) == (404, "not_found")


def test_a_browser_session_opens_nothing(client):
    client.force_login(make_user(is_staff=True, is_superuser=True))

    response = client.post(URL, body_of(), content_type="application/json")

    assert answered(response) == (401, "bad_signature")


def test_no_other_method_is_answered():
    assert {APIClient().generic(method, URL).status_code for method in ("GET", "PUT", "PATCH", "DELETE")} == {405}


def test_the_limit_is_that_of_every_body():
    assert django_settings.API_MAX_BODY_BYTES == 256 * 1024


# --- what follows -----------------------------------------------------------------------------------------------------


def test_a_capture_that_nobody_was_told_of_is_told_by_webhook(fan, creator, method, background):
    use_token(method, "tok_timeout_then_ok")
    with background():
        tip = make_tip(fan, creator, method)

    tip.order.refresh_from_db()
    assert tip.order.status == "succeeded"
    event = GatewayEvent.objects.get()
    assert (event.type, event.attempts, event.last_error) == ("payment.captured", 1, "")
    assert event.handled_at is not None


def test_what_the_body_says_is_not_believed(fan, creator, method, background):
    tip = make_tip(fan, creator, method)
    claim(order_id=tip.order_id)
    SandboxCharge.objects.create(
        idempotency_key=f"{tip.order_id}:1",
        gateway_payment_id="g1",
        token="tok_ok",
        amount=1000,
        currency="USD",
        status="declined",
        decline_code="insufficient_funds",
    )

    with background():
        knock(body_of(type="payment.captured", data={"key": f"{tip.order_id}:1", "amount": 1, "status": "captured"}))

    tip.order.refresh_from_db()
    assert (tip.order.status, tip.order.failure_code) == ("failed", "insufficient_funds")
    assert published(PaymentCompleted) == []


def test_events_in_any_order_and_number_make_one_payment(fan, creator, method, background):
    use_token(method, "tok_3ds")
    with background():
        tip = make_tip(fan, creator, method)
    expires_at = PaymentOrder.objects.get().expires_at
    SandboxCharge.objects.update(status="captured")
    for event_type in ("payment.captured", "payment.requires_action", "payment.captured", "payment.requires_action"):
        with background():
            knock(body_of(type=event_type, data={"key": f"{tip.order_id}:1"}))

    order = PaymentOrder.objects.get()
    assert (order.status, order.expires_at) == ("succeeded", expires_at)
    assert len(published(PaymentCompleted)) == 1
    assert published(PaymentFailed) == []


def test_being_told_to_wait_again_gives_no_more_time(fan, creator, method, background):
    use_token(method, "tok_3ds")
    with background():
        tip = make_tip(fan, creator, method)
    expires_at = PaymentOrder.objects.get().expires_at

    with time_machine.travel(timezone.now() + timedelta(minutes=10)), background():
        knock(body_of(type="payment.requires_action", data={"key": f"{tip.order_id}:1"}))

    order = PaymentOrder.objects.get()
    assert (order.status, order.expires_at) == ("requires_action", expires_at)


def test_a_dispute_is_told_fetched_and_held_and_lost(fan, creator, method, background):
    use_token(method, "tok_dispute")
    with background():
        tip = make_tip(fan, creator, method)
    tip.order.refresh_from_db()
    assert (tip.order.status, Dispute.objects.get().held_amount) == ("disputed", 1000)

    with background():
        SandboxGateway().decide_dispute(SandboxDispute.objects.get().gateway_dispute_id, "lost")

    tip.order.refresh_from_db()
    assert tip.order.status == "reversed"
    assert [event.source for event in published(PaymentRefunded)] == ["dispute"]
    assert GatewayEvent.objects.filter(handled_at=None).count() == 0


def test_h24_an_event_before_its_order_waits_and_is_handled_then(fan, creator, method, background):
    tip = make_tip(fan, creator, method)
    with background():
        knock(body_of(data={"key": f"{tip.order_id}:1"}))
    event = GatewayEvent.objects.get()
    assert (event.handled_at, event.attempts) == (None, 1)
    assert event.last_error == f"UnknownPaymentError: No attempt has the key '{tip.order_id}:1' at sandbox"
    attempt = claim(order_id=tip.order_id)
    SandboxCharge.objects.create(
        idempotency_key=attempt.gateway_idempotency_key,
        gateway_payment_id="g1",
        token="tok_ok",
        amount=1000,
        currency="USD",
        status="captured",
    )

    with background():
        tasks.gateway_events_due()
    assert GatewayEvent.objects.get().attempts == 1
    with time_machine.travel(timezone.now() + webhooks.FIRST_DELAY + timedelta(seconds=1)), background():
        tasks.gateway_events_due()

    assert PaymentOrder.objects.get().status == "succeeded"
    assert (GatewayEvent.objects.get().attempts, GatewayEvent.objects.get().last_error) == (2, "")


def test_another_gateways_event_does_not_reach_our_attempt(fan, creator, method, background):
    with background():
        tip = make_tip(fan, creator, method)
    PaymentOrder.objects.update(gateway="acme")
    GatewayEvent.objects.all().delete()

    with background():
        knock(body_of(data={"key": f"{tip.order_id}:1"}))

    assert GatewayEvent.objects.get().last_error.startswith("UnknownPaymentError")


def test_a_gateway_that_does_not_answer_is_asked_again(fan, creator, method, background, monkeypatch):
    with background():
        tip = make_tip(fan, creator, method)
    GatewayEvent.objects.all().delete()

    def silent(*args, **kwargs):
        raise GatewayUnavailableError("no answer")

    monkeypatch.setattr(SandboxGateway, "retrieve", silent)
    with background():
        knock(body_of(data={"key": f"{tip.order_id}:1"}))

    event = GatewayEvent.objects.get()
    assert (event.handled_at, event.last_error) == (None, "GatewayUnavailableError: no answer")
    assert event.next_attempt_at > timezone.now()


def test_another_amount_than_asked_is_kept_for_a_person(fan, creator, method, background, monkeypatch):
    tip = make_tip(fan, creator, method)
    claim(order_id=tip.order_id)
    wrong = Captured(gateway_payment_id="g1", amount=1, currency="USD")
    monkeypatch.setattr(SandboxGateway, "retrieve", lambda *args, **kwargs: wrong)

    with background():
        knock(body_of(data={"key": f"{tip.order_id}:1"}))

    assert GatewayEvent.objects.get().last_error.startswith("GatewayMismatchError")
    assert PaymentOrder.objects.get().status == "processing"
    assert published() == []


@pytest.mark.parametrize(
    "fields", [{"type": "balance.available"}, {"data": None}, {"data": {"key": 7}}, {"data": {"dispute": "d"}}]
)
def test_an_event_of_which_nothing_follows_is_kept_and_done(background, fields):
    with background():
        knock(body_of(**fields))

    event = GatewayEvent.objects.get()
    assert event.handled_at is not None
    assert PaymentAttempt.objects.count() == 0


def test_after_three_days_it_is_given_up_and_staff_may_try_again(client, background):
    start = timezone.now()
    with time_machine.travel(start) as clock, background():
        knock(body_of())
        for _ in range(400):
            clock.shift(timedelta(minutes=15))
            webhooks.handle_event(event_id=GatewayEvent.objects.get().pk)
    event = GatewayEvent.objects.get()
    assert (event.attempts, event.next_attempt_at, event.handled_at) == (webhooks.ATTEMPTS, None, None)

    client.force_login(make_user(is_staff=True, is_superuser=True))
    with background():
        client.post(
            reverse("admin:payments_gatewayevent_changelist"),
            {"action": "handle_again", "_selected_action": [str(event.pk)], "confirmed": "yes", "reason": "Mended"},
        )

    assert GatewayEvent.objects.get().attempts == 1


def test_old_events_are_forgotten_when_they_were_handled(background):
    with background():
        knock(body_of(type="balance.available"))
    knock(body_of())
    with time_machine.travel(timezone.now() + timedelta(days=89)):
        tasks.forget_gateway_events()
    assert GatewayEvent.objects.count() == 2
    with time_machine.travel(timezone.now() + timedelta(days=91)):
        tasks.forget_gateway_events()

    assert GatewayEvent.objects.get().handled_at is None


def test_the_admin_shows_no_payload(client, background):
    knock(body_of(data={"key": "a secret of somebody"}))
    client.force_login(make_user(is_staff=True, is_superuser=True))

    page = client.get(reverse("admin:payments_gatewayevent_change", args=[GatewayEvent.objects.get().pk]))

    assert page.status_code == 200
    assert "a secret of somebody" not in page.content.decode()


def test_without_a_secret_the_sandbox_is_silent(settings, fan, creator, method, background):
    settings.SANDBOX_WEBHOOK_SECRETS = []

    with background():
        make_tip(fan, creator, method)

    assert GatewayEvent.objects.count() == 0
