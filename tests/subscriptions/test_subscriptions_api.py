"""Subscriptions over HTTP: each party sees its own side and nobody else sees anything."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from eventbus.testing import published
from subscriptions.events import SubscriptionCreated
from subscriptions.models.subscriptions import Subscription
from tests.subscriptions.conftest import NOW
from tests.subscriptions.factories import (
    choose,
    forget_events,
    make_active,
    make_creator,
    make_tier,
    make_user,
    price_of,
)

URL = "/api/v1/subscriptions"
UNKNOWN = "01a20b9b-0000-7000-8000-000000000000"  # one id for all, for it is in the names of tests
PERIOD_END = "2031-02-28T12:00:00Z"


def body_for(tier, **changes):
    price = price_of(tier)
    return {
        "tier_id": str(tier.id),
        "price_id": str(price.id),
        "expected_amount": price.amount,
        "expected_currency": price.currency,
        "payment_method_id": str(uuid4()),
        **changes,
    }


@pytest.fixture
def subscribing(api, tier, fan, key):
    return lambda **changes: api(fan).post(URL, body_for(tier, **changes), format="json", **key())


def one(subscription, action=""):
    return f"{URL}/{subscription.id}{action}"


def test_subscribing(clock, subscribing):
    answer = subscribing()

    assert answer.status_code == 201, answer.json()
    body = answer.json()
    assert body["id"] == str(Subscription.objects.get().id)
    assert (body["status"], body["access_until"], body["tier_name"]) == ("incomplete", None, "Backstage")
    assert (body["price"]["amount"], body["price"]["currency"], body["price"]["interval"]) == (500, "USD", "month")
    assert body["payment_due_at"] == "2031-02-01T11:00:00Z"
    assert len(published(SubscriptionCreated)) == 1


def test_the_same_key_is_the_same_subscription(api, clock, tier, fan, key):
    client, body, header = api(fan), body_for(tier), key()
    first = client.post(URL, body, format="json", **header)
    second = client.post(URL, body, format="json", **header)

    assert (second.status_code, second.json(), second["Idempotent-Replayed"]) == (201, first.json(), "true")
    assert len(published()) == 1


def test_a_key_is_required(api, tier, fan):
    answer = api(fan).post(URL, body_for(tier), format="json")

    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_required")
    assert Subscription.objects.count() == 0


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"expected_amount": 1}, (409, "price_changed")),
        ({"payment_method_id": None}, (402, "payment_method_required")),
        ({"tier_id": str(uuid4())}, (422, "tier_not_available")),
        ({"price_id": str(uuid4())}, (422, "tier_not_available")),
        ({"amount": 1}, (400, "validation_error")),
        ({"subscriber_id": str(uuid4())}, (400, "validation_error")),
        ({"expected_amount": "500"}, (400, "validation_error")),
        ({"tier_id": "nonsense"}, (400, "validation_error")),
    ],
)
def test_what_cannot_be_subscribed_to(subscribing, change, refusal):
    answer = subscribing(**change)

    assert (answer.status_code, answer.json()["code"]) == refusal
    assert Subscription.objects.count() == 0
    assert published() == []


def test_a_second_live_subscription_is_refused(active, subscribing):
    answer = subscribing()

    assert (answer.status_code, answer.json()["code"]) == (409, "already_subscribed")
    assert published() == []


def test_a_creator_cannot_subscribe_to_themselves(api, creator, tier, key):
    answer = api(creator).post(URL, body_for(tier), format="json", **key())
    assert (answer.status_code, answer.json()["code"]) == (422, "own_tier")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", URL),
        ("post", URL),
        ("get", "/api/v1/me/subscribers"),
        ("get", f"{URL}/{UNKNOWN}"),
        ("post", f"{URL}/{UNKNOWN}/cancel"),
        ("post", f"{URL}/{UNKNOWN}/resume"),
        ("get", f"/api/v1/creators/{UNKNOWN}/access"),
    ],
)
def test_strangers_are_asked_who_they_are(api, db, method, path):
    assert getattr(api(), method)(path).status_code == 401


def test_my_subscriptions_narrowed(api, clock, active, creator, fan):
    other = choose(make_tier(make_creator()), fan)
    make_active(active.tier, make_user(), paid_at=NOW)
    client = api(fan)

    def ids(query=""):
        return [row["id"] for row in client.get(URL + query).json()["results"]]

    assert set(ids()) == {str(active.id), str(other.id)}
    assert ids("?status=active") == [str(active.id)]
    assert ids(f"?creator={other.creator_id}") == [str(other.id)]
    assert client.get(URL + "?status=sleeping").status_code == 400
    assert client.get(URL + "?creator=1").status_code == 400


@pytest.mark.parametrize("size", [1, 4])
def test_my_subscriptions_take_one_query(api, clock, fan, django_assert_num_queries, size):
    for _ in range(size):
        choose(make_tier(make_creator()), fan)
    client = api(fan)
    with django_assert_num_queries(1):
        assert len(client.get(URL).json()["results"]) == size


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("size", [1, 4])
def test_my_subscribers_take_two_queries(api, creator, tier, django_assert_num_queries, size):
    for _ in range(size):
        make_active(tier, make_user(), paid_at=NOW)
    client = api(creator)
    with django_assert_num_queries(2):  # the page, the names
        assert len(client.get("/api/v1/me/subscribers").json()["results"]) == size


def test_my_subscribers_are_those_who_ever_came_in(api, active, creator, fan):
    choose(active.tier, make_user())
    client = api(creator)
    [row] = client.get("/api/v1/me/subscribers").json()["results"]

    assert (row["id"], row["subscriber_name"]) == (str(active.id), fan.display_name)
    assert "payment_method_id" not in row
    assert "cancel_reason" not in row
    assert client.get("/api/v1/me/subscribers?status=incomplete").json()["results"] == []
    assert client.get(f"/api/v1/me/subscribers?tier={uuid4()}").json()["results"] == []
    assert len(client.get(f"/api/v1/me/subscribers?tier={active.tier_id}").json()["results"]) == 1
    assert api(fan).get("/api/v1/me/subscribers").status_code == 403


def test_each_party_sees_its_side(api, active, creator, fan):
    mine = api(fan).get(one(active)).json()
    theirs = api(creator).get(one(active)).json()
    staff = api(make_user(is_staff=True)).get(one(active)).json()

    assert mine["payment_method_id"] == str(active.payment_method_id)
    assert theirs["subscriber_name"] == staff["subscriber_name"] == fan.display_name
    assert "payment_method_id" not in theirs
    assert "payment_method_id" not in staff


@pytest.mark.parametrize("action", ["", "/cancel", "/resume"])
def test_to_others_a_subscription_does_not_exist(api, active, key, action):
    client = api(make_creator())
    method = client.get if action == "" else client.post
    answer = method(one(active, action), **key())
    missing = method(f"{URL}/{uuid4()}{action}", **key())

    assert answer.status_code == missing.status_code == 404
    assert {**answer.json(), "trace_id": ""} == {**missing.json(), "trace_id": ""}
    assert published() == []


def test_a_creator_does_not_hear_of_an_unpaid_wish(api, incomplete, creator, key):
    assert api(creator).get(one(incomplete)).status_code == 404
    assert api(creator).post(one(incomplete, "/cancel"), **key()).status_code == 404
    assert published() == []


def test_cancelling_and_resuming(api, active, fan, key):
    client = api(fan)
    body = {"mode": "at_period_end", "reason": "too_expensive", "comment": "Rent is due"}
    answer = client.post(one(active, "/cancel"), body, format="json", **key())
    assert answer.status_code == 200, answer.json()
    assert (answer.json()["status"], answer.json()["cancel_at_period_end"]) == ("active", True)
    assert answer.json()["access_until"] == PERIOD_END
    again = client.post(one(active, "/cancel"), {}, format="json", **key())
    assert (again.status_code, again.json()["code"]) == (409, "invalid_transition")

    resumed = client.post(one(active, "/resume"))
    assert (resumed.status_code, resumed.json()["cancel_at_period_end"]) == (200, False)
    not_cancelling = client.post(one(active, "/resume"))
    assert (not_cancelling.status_code, not_cancelling.json()["code"]) == (409, "not_cancelling")


def test_while_unpaid_cancelling_is_immediate(api, incomplete, fan, key):
    answer = api(fan).post(one(incomplete, "/cancel"), {}, format="json", **key())

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert answer.json()["end_reason"] == "subscriber_request"


@pytest.mark.parametrize("body", [{"mode": "immediate"}, {"refund_policy": "full"}])
def test_ending_at_once_is_not_for_subscribers(api, active, fan, key, body):
    answer = api(fan).post(one(active, "/cancel"), body, format="json", **key())

    assert (answer.status_code, answer.json()["code"]) == (403, "cancel_not_allowed")
    active.refresh_from_db()
    assert active.cancel_at_period_end is False
    assert published() == []


@pytest.mark.parametrize(
    "body", [{"reason": "refunded"}, {"mode": "now"}, {"comment": "x" * 501}, {"cancelled_by": "staff"}]
)
def test_a_cancellation_that_is_not_valid(api, active, fan, key, body):
    answer = api(fan).post(one(active, "/cancel"), body, format="json", **key())

    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")
    assert published() == []


def test_the_creator_and_the_staff_end_it_at_once(api, active, creator, key):
    body = {"mode": "immediate", "refund_policy": "prorated"}
    answer = api(creator).post(one(active, "/cancel"), body, format="json", **key())
    assert (answer.json()["status"], answer.json()["end_reason"]) == ("cancelled", "creator_request")

    forget_events()
    other = make_active(active.tier, make_user(), paid_at=NOW)
    answer = api(make_user(is_staff=True)).post(one(other, "/cancel"), {"mode": "immediate"}, format="json", **key())
    assert (answer.json()["status"], answer.json()["end_reason"]) == ("cancelled", "staff_request")


def test_a_creator_cannot_resume_for_the_subscriber(api, active, creator, fan, key):
    api(fan).post(one(active, "/cancel"), {}, format="json", **key())
    assert api(creator).post(one(active, "/resume")).status_code == 404
    active.refresh_from_db()
    assert active.cancel_at_period_end is True


def test_access(api, active, creator, fan, clock):
    url = f"/api/v1/creators/{creator.id}/access"
    assert api(fan).get(url).json() == {"has_access": True, "tiers": [str(active.tier_id)], "until": PERIOD_END}
    assert api(make_user()).get(url).json() == {"has_access": False, "tiers": [], "until": None}
    assert api(creator).get(url).json() == {"has_access": True, "tiers": [], "until": None}

    clock.move_to(datetime(2031, 2, 28, 12, 0, tzinfo=UTC))
    assert api(fan).get(url).json()["has_access"] is False


def test_unpaid_gives_no_access(api, incomplete, creator, fan):
    assert api(fan).get(f"/api/v1/creators/{creator.id}/access").json()["has_access"] is False
