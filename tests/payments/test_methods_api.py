"""/payment-methods, and what is kept of a token."""

from io import StringIO
from uuid import uuid4

import pytest
from cryptography.fernet import InvalidToken
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

from payments.encryption import decrypt, encrypt, fingerprint
from payments.gateways.sandbox import SandboxGateway
from payments.models.methods import PaymentMethod
from payments.models.projections import SubscriptionRef
from tests.accounts.factories import make_user
from tests.payments.factories import make_method, make_tip

METHODS = "/api/v1/payment-methods"


def test_a_card_is_stored_and_shown_without_its_token(fan, as_user, key):
    client = as_user(fan)

    answer = client.post(METHODS, {"token": "tok_ok"}, headers=key())

    assert answer.status_code == 201
    assert {name: answer.json()[name] for name in ("brand", "last4", "status")} == {
        "brand": "visa",
        "last4": "4242",
        "status": "active",
    }
    method = PaymentMethod.objects.get()
    assert "tok_ok" not in method.encrypted_token
    assert decrypt(method.encrypted_token) == "tok_ok"
    listed = client.get(METHODS)
    assert [shown["id"] for shown in listed.json()["results"]] == [str(method.id)]
    for secret in ("tok_ok", method.encrypted_token, method.token_fingerprint):
        assert secret not in listed.content.decode()


def test_one_key_stores_one_card(fan, as_user, key):
    headers = key()

    answers = [as_user(fan).post(METHODS, {"token": "tok_ok"}, headers=headers) for _ in range(2)]

    assert answers[0].json() == answers[1].json()
    assert answers[1]["Idempotent-Replayed"] == "true"


@pytest.fixture
def asked(monkeypatch):
    """The tokens that the gateway was asked about."""
    tokens, describe = [], SandboxGateway.describe

    def counted(gateway, token):
        tokens.append(token)
        return describe(gateway, token)

    monkeypatch.setattr(SandboxGateway, "describe", counted)
    return tokens


def test_the_gateway_is_asked_once_per_key_even_of_a_token_it_no_longer_knows(*, fan, as_user, key, asked, monkeypatch):
    headers = key()
    first = as_user(fan).post(METHODS, {"token": "tok_ok"}, headers=headers)
    monkeypatch.setattr("payments.gateways.sandbox.BEHAVIOURS", {})

    again = as_user(fan).post(METHODS, {"token": "tok_ok"}, headers=headers)

    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert asked == ["tok_ok"]


def test_the_gateway_is_not_asked_for_a_request_that_is_refused_for_its_key(*, fan, as_user, key, asked):
    headers = key()
    as_user(fan).post(METHODS, {"token": "tok_ok"}, headers=headers)

    without = as_user(fan).post(METHODS, {"token": "tok_3ds"})
    reused = as_user(fan).post(METHODS, {"token": "tok_3ds"}, headers=headers)

    assert (without.status_code, without.json()["code"]) == (400, "idempotency_key_required")
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    assert (asked, PaymentMethod.objects.count()) == (["tok_ok"], 1)


def test_the_same_token_is_the_same_card_and_another_owners_is_not(fan, creator):
    assert make_method(fan.id).id == make_method(fan.id).id
    assert make_method(creator.id).id != make_method(fan.id).id


def test_a_token_that_the_gateway_does_not_know_is_refused(fan, as_user, key):
    answer = as_user(fan).post(METHODS, {"token": "tok_made_up"}, headers=key())

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_token")
    assert PaymentMethod.objects.count() == 0


def test_a_card_that_was_refused_for_good_is_not_stored_again(fan, method, as_user, key):
    PaymentMethod.objects.update(status="invalid")

    answer = as_user(fan).post(METHODS, {"token": "tok_ok"}, headers=key())

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_token")
    assert PaymentMethod.objects.get().status == "invalid"


def test_a_card_is_removed_and_may_come_back(fan, method, as_user, key):
    client = as_user(fan)

    assert client.delete(f"{METHODS}/{method.id}").status_code == 204
    assert client.get(METHODS).json()["results"] == []
    assert client.delete(f"{METHODS}/{method.id}").status_code == 404

    assert client.post(METHODS, {"token": "tok_ok"}, headers=key()).json()["id"] == str(method.id)
    method.refresh_from_db()
    assert method.status == "active"


def test_another_users_card_cannot_be_removed(method, as_user):
    assert as_user(make_user()).delete(f"{METHODS}/{method.id}").status_code == 404

    method.refresh_from_db()
    assert method.status == "active"


def test_a_card_with_an_open_payment_stays(fan, creator, method, as_user):
    make_tip(fan, creator, method)

    answer = as_user(fan).delete(f"{METHODS}/{method.id}")

    assert (answer.status_code, answer.json()["code"]) == (409, "method_in_use")
    method.refresh_from_db()
    assert method.status == "active"


@pytest.mark.parametrize(("status", "code"), [("active", 409), ("past_due", 409), ("cancelled", 204), ("expired", 204)])
def test_a_card_stays_while_a_live_subscription_relies_on_it(fan, method, as_user, status, code):
    SubscriptionRef.objects.create(
        subscription_id=uuid4(),
        subscriber_id=fan.id,
        creator_id=uuid4(),
        tier_id=uuid4(),
        status=status,
        payment_method_id=method.id,
    )

    assert as_user(fan).delete(f"{METHODS}/{method.id}").status_code == code


def test_keys_rotate(method, settings):
    old = settings.TRIBUTARY_TOKEN_KEYS
    settings.TRIBUTARY_TOKEN_KEYS = ["a new key", *old]
    call_command("reencrypt_payment_tokens", verbosity=0, stdout=StringIO())

    settings.TRIBUTARY_TOKEN_KEYS = ["a new key"]
    method.refresh_from_db()
    assert decrypt(method.encrypted_token) == "tok_ok"
    assert method.token_fingerprint == fingerprint("tok_ok")

    settings.TRIBUTARY_TOKEN_KEYS = old
    with pytest.raises(InvalidToken):
        decrypt(method.encrypted_token)


def test_no_keys_no_cards(settings):
    settings.TRIBUTARY_TOKEN_KEYS, settings.TRIBUTARY_FINGERPRINT_KEY = [], ""

    with pytest.raises(ImproperlyConfigured):
        encrypt("tok_ok")
    with pytest.raises(ImproperlyConfigured):
        fingerprint("tok_ok")
