"""Tiers over HTTP: who finds what, who may change what."""

from uuid import uuid4

import pytest

from eventbus.testing import published
from subscriptions.models.tiers import Tier
from subscriptions.services.tiers import archive_tier, deactivate_price
from tests.subscriptions.conftest import NOW
from tests.subscriptions.factories import forget_events, make_active, make_creator, make_tier, make_user, price_of

BODY = {
    "name": "Backstage",
    "description": "Behind the curtain",
    "benefits": ["Weekly letter"],
    "prices": [{"interval": "month", "amount": 500, "currency": "USD"}],
}


def tiers_url(creator):
    return f"/api/v1/creators/{creator.id}/tiers"


def tier_url(tier, action=""):
    return f"/api/v1/tiers/{tier.id}{action}"


def test_a_creator_offers_a_tier(api, creator):
    answer = api(creator).post("/api/v1/tiers", BODY, format="json")

    assert answer.status_code == 201, answer.json()
    body = answer.json()
    tier = Tier.objects.get()
    assert body["id"] == str(tier.id)
    assert body["creator_id"] == str(creator.id)
    assert (body["name"], body["status"], body["version"]) == ("Backstage", "active", 1)
    [price] = body["prices"]
    assert (price["amount"], price["currency"], price["interval"], price["interval_count"]) == (500, "USD", "month", 1)
    assert answer["ETag"] == '"1"'


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "x" * 51},
        {"name": "a\u202eb"},
        {"creator_id": str(uuid4())},
        {"status": "archived"},
        {"benefits": ["x"] * 21},
        {"benefits": ["x" * 141]},
        {"prices": []},
        {"prices": [{"interval": "week", "amount": 500, "currency": "USD"}]},
        {"prices": [{"interval": "month", "amount": 5.5, "currency": "USD"}]},
        {"prices": [{"interval": "month", "amount": -1, "currency": "USD"}]},
        {"prices": [{"interval": "month", "amount": 500, "currency": "usd "}]},
        {"prices": [{"interval": "month", "interval_count": 13, "amount": 500, "currency": "USD"}]},
        {"max_subscribers": 0},
    ],
)
def test_a_body_that_is_not_valid_makes_nothing(api, creator, change):
    answer = api(creator).post("/api/v1/tiers", {**BODY, **change}, format="json")

    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")
    assert Tier.objects.count() == 0
    assert published() == []


@pytest.mark.parametrize(
    ("price", "code"),
    [
        ({"interval": "month", "amount": 1, "currency": "USD"}, "price_out_of_range"),
        ({"interval": "month", "amount": 500, "currency": "XXX"}, "currency_not_supported"),
    ],
)
def test_a_price_that_cannot_be_paid_is_refused(api, creator, price, code):
    answer = api(creator).post("/api/v1/tiers", {**BODY, "prices": [price]}, format="json")

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert Tier.objects.count() == 0


def test_only_creators_offer_tiers(api, fan):
    assert api(fan).post("/api/v1/tiers", BODY, format="json").status_code == 403
    assert api().post("/api/v1/tiers", BODY, format="json").status_code == 401
    assert Tier.objects.count() == 0


def test_who_finds_which_tiers_in_the_list(api, clock, creator, fan):
    public = make_tier(creator, name="Public")
    hidden = make_tier(creator, name="Hidden", is_public=False)
    held = make_tier(creator, name="Held")
    gone = make_tier(creator, name="Gone")
    make_active(held, fan, paid_at=NOW)
    make_active(held, make_user(), paid_at=NOW)
    for tier in (held, gone):
        archive_tier(tier_id=tier.id)

    def names(user=None):
        return {tier["name"] for tier in api(user).get(tiers_url(creator)).json()["results"]}

    assert names() == {public.name}
    assert names(make_user()) == {public.name}
    assert names(fan) == {public.name, held.name}
    assert names(creator) == {public.name, hidden.name, held.name, gone.name}


def test_a_holder_finds_their_tier_once(api, clock, creator, tier, fan):
    make_active(tier, fan, paid_at=NOW)
    for _ in range(3):
        make_active(tier, make_user(), paid_at=NOW)

    assert len(api(fan).get(tiers_url(creator)).json()["results"]) == 1


def test_hidden_tiers_are_reached_by_link_and_archived_ones_by_their_parties(api, creator, fan):
    hidden = make_tier(creator, is_public=False)
    assert api().get(tier_url(hidden)).status_code == 200
    archive_tier(tier_id=hidden.id)
    assert api(fan).get(tier_url(hidden)).status_code == 404
    assert api(creator).get(tier_url(hidden)).status_code == 200


def test_a_withdrawn_price_is_not_shown(api, tier):
    deactivate_price(tier_id=tier.id, price_id=price_of(tier).id)
    assert api().get(tier_url(tier)).json()["prices"] == []


@pytest.mark.parametrize("size", [1, 8])
def test_the_list_takes_two_queries_however_long_it_is(api, creator, django_assert_num_queries, size):
    for _ in range(size):
        make_tier(creator)
    client = api()
    with django_assert_num_queries(2):
        assert len(client.get(tiers_url(creator)).json()["results"]) == size


def test_a_change_needs_the_version_that_was_seen(api, creator, tier):
    client = api(creator)
    assert client.patch(tier_url(tier), {"rank": 1}, format="json").status_code == 428
    stale = client.patch(tier_url(tier), {"rank": 1}, format="json", HTTP_IF_MATCH='"7"')
    assert (stale.status_code, stale.json()["code"]) == (412, "version_conflict")
    assert published() == []

    answer = client.patch(tier_url(tier), {"rank": 1}, format="json", HTTP_IF_MATCH='"1"')
    assert (answer.status_code, answer.json()["rank"], answer["ETag"]) == (200, 1, '"2"')


@pytest.mark.parametrize("field", ["creator_id", "status", "version", "prices"])
def test_a_change_of_what_is_not_to_be_changed_is_refused(api, creator, tier, field):
    answer = api(creator).patch(tier_url(tier), {field: 1}, format="json", HTTP_IF_MATCH='"1"')

    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])
    assert published() == []


@pytest.mark.parametrize("action", ["", "/prices", "/archive", "/restore", "/prices/{price}/deactivate"])
def test_another_creators_tier_does_not_exist(api, tier, action):
    client = api(make_creator())
    url = tier_url(tier, action.format(price=price_of(tier).id))
    method = client.patch if action == "" else client.post
    answer = method(url, {}, format="json", HTTP_IF_MATCH='"1"')
    missing = method(url.replace(str(tier.id), str(uuid4())), {}, format="json", HTTP_IF_MATCH='"1"')

    assert answer.status_code == missing.status_code == 404
    assert {**answer.json(), "trace_id": ""} == {**missing.json(), "trace_id": ""}
    assert published() == []


def test_prices_archiving_and_restoring(api, creator, tier):
    client = api(creator)
    yearly = {"interval": "year", "amount": 5000, "currency": "USD"}
    added = client.post(tier_url(tier, "/prices"), yearly, format="json")
    assert (added.status_code, added.json()["amount"]) == (201, 5000)
    again = client.post(tier_url(tier, "/prices"), yearly, format="json")
    assert (again.status_code, again.json()["code"]) == (409, "price_exists")

    gone = client.post(tier_url(tier, f"/prices/{added.json()['id']}/deactivate"))
    assert (gone.status_code, gone.json()["active"]) == (200, False)
    assert client.post(tier_url(tier, "/archive")).json()["status"] == "archived"
    assert client.post(tier_url(tier, "/archive")).json()["code"] == "tier_archived"
    assert client.post(tier_url(tier, "/restore")).json()["status"] == "active"
    assert client.post(tier_url(tier, "/restore")).json()["code"] == "tier_not_archived"
    forget_events()
