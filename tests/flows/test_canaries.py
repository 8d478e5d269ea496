"""Words, addresses and secrets stay in the room that got them: none is in an event, a log or a locked answer."""

import json
import logging
import re

import pytest
from django.conf import settings as django_settings
from uuid_utils.compat import uuid7

from content.services.lifecycle import take_down_post
from eventbus.events import registered
from eventbus.models import InboxEvent, OutboxEvent
from eventbus.testing import published
from payments.models.orders import PaymentAttempt
from tests.accounts.factories import make_creator, make_user
from tests.flows.world import World

CANARY = "canary"


class WatchedWorld(World):
    """A world that keeps the bytes of every event before they leave the outbox."""

    def __init__(self, commits, clock):
        super().__init__(commits, clock)
        self.payloads = []
        self.fan = make_user(email="canary.fan@example.org", display_name="Canary fan")
        self.creator = make_creator(handle="canaryhandle", bio="Canary bio")

    def settle(self):
        while OutboxEvent.objects.exists():
            self.payloads += [
                (row.headers["ce_type"], bytes(row.payload).decode(), json.dumps(row.headers))
                for row in OutboxEvent.objects.all()
            ]
            with self.background():
                for event in self.take():
                    self.deliver(event)


@pytest.fixture
def watched(world, caplog):
    caplog.set_level(logging.DEBUG)
    return WatchedWorld(world.commits, world.clock)


def live(world):
    """A life in which every text, name, token and address is a canary; the posts, by what they are."""
    tier = world.tier(name="Gold", description="Canary description", benefits=["Canary benefit"], max_subscribers=9)
    price = {"price": {"amount": 700, "currency": "USD"}}
    texts = {"title": "Canary title", "body": "Canary body", "teaser": "Canary teaser"}
    world.settle()
    file = world.upload()
    world.settle()
    sold = world.write(**texts, visibility="ppv", **price, media_ids=[file], title_is_public=False)
    public = world.write(**texts, visibility="public")
    world.settle()
    card = world.card(token="tok_ok:canary")
    subscription = world.subscribe(tier, card)
    world.settle()
    purchase = world.buy(sold, card)
    world.tip(card, post_id=public["id"], message="Canary message", is_anonymous=True)
    world.settle()
    comment = world.post(world.fan, f"posts/{public['id']}/comments", {"body": "Canary comment"})
    world.post(world.fan, f"posts/{public['id']}/comments", {"body": "Canary reply", "parent_id": comment["id"]})
    world.post(world.fan, f"posts/{public['id']}/reports", {"reason": "other", "comment": "Canary report"})
    world.like(public)
    world.unlike(public)
    world.subscribe(tier, world.card(token="tok_decline_soft:canary"), expect=409)
    waiting = world.buy(world.sell(300, **texts), world.card(token="tok_3ds:canary"))
    world.settle()
    world.post(world.fan, f"payments/{waiting['payment_id']}/cancel", expect=200)
    world.tip(world.card(token="tok_decline_hard:canary"), message="Canary message")
    world.get(world.fan, f"posts/{sold['id']}/media/{file}/url?variant=thumb_320")
    world.cancel(subscription, reason="other", comment="Canary reason")
    world.resume(subscription)
    world.settle()
    world.refund(world.payment(purchase))
    world.cancel(subscription, world.creator, mode="immediate", refund_policy="full", comment="Canary reason")
    world.post(world.creator, f"posts/{public['id']}/withdraw", expect=200)
    world.delete(public)
    take_down_post(post_id=sold["id"], reason="policy", actor_id=uuid7(), note="Canary note")
    world.settle()
    spare = world.upload()
    world.settle()
    world.call("delete", world.creator, f"media/{spare}", expect=202)
    world.post(world.creator, f"tiers/{tier['id']}/archive", expect=200)
    world.settle()
    return file


# What the wire's own contract gives other rooms: the tier's offer is public, and names what is sold.
TOLD_OPENLY = {"subscription.tier.created", "subscription.tier.updated"}


def without_chance(payload):
    """The payload but for ids and times, in which any four digits may stand."""
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[\d:.]+Z?", "", payload)


def test_no_event_holds_words_addresses_or_secrets(watched):
    live(watched)

    assert {topic for topic, _, _ in watched.payloads} == set(registered()) & topics_of_the_rooms()
    found = [
        (topic, payload)
        for topic, payload, headers in watched.payloads
        if CANARY in (payload if topic not in TOLD_OPENLY else "").lower() + headers.lower()
    ]
    assert found == []
    for word in ("http", "@", "tok_", "sandbox.invalid", "4242", "photo.jpg", "declined by"):
        assert [topic for topic, payload, _ in watched.payloads if word in without_chance(payload)] == [], word


def test_no_log_line_holds_words_addresses_or_secrets(watched, caplog):
    live(watched)

    lines = [f"{record.name}: {record.getMessage()} {record.exc_text or ''}" for record in own_records(caplog)]
    assert len(lines) > 0
    for word in (CANARY, "tok_", "signature=", "sandbox.invalid", "@example", "whole story"):
        assert [line for line in lines if word in line.lower()] == [], word


def test_a_gateways_words_and_a_token_stay_in_payments(watched):
    live(watched)

    assert "declined by the sandbox" in set(PaymentAttempt.objects.values_list("decline_message", flat=True))
    answers = [
        json.dumps(watched.get(user, path))
        for user in (watched.fan, watched.creator)
        for path in ("payments", "tips?direction=sent", "tips?direction=received", "me", "posts", "feed")
    ]
    answers += [json.dumps(watched.client(watched.fan).get("/api/v1/payment-methods").json())]
    assert [answer for answer in answers if "tok_" in answer or "declined by" in answer] == []


def test_a_locked_post_tells_nothing_of_what_it_holds(watched):
    file = watched.upload()
    watched.settle()
    texts = {"title": "Canary title", "body": "Canary body", "title_is_public": False}
    locked = watched.sell(700, **texts, teaser="A teaser", media_ids=[file])
    watched.tip(watched.card(), post_id=locked["id"], message="Canary message")
    watched.settle()

    for viewer in (watched.fan, None):
        client = watched.client(viewer)
        for path in (f"posts/{locked['id']}", "posts", f"posts?creator={watched.creator.id}", "posts/trending"):
            answer = client.get(f"/api/v1/{path}")
            text = answer.content.decode()
            assert answer.status_code == 200, path
            assert answer["Cache-Control"] == "private, no-store"
            assert [word for word in (CANARY, str(file), "thumb_320", "web_1280") if word in text.lower()] == [], path
    for path in (f"posts/{locked['id']}/comments", f"posts/{locked['id']}/media/{file}/url?variant=thumb_320"):
        assert watched.get(watched.fan, path, expect=403)["code"] == "locked"
    assert published() == []


def topics_of_the_rooms():
    """Every topic that a room of the platform tells."""
    return {
        topic
        for topic, spec in registered().items()
        if spec.event_class.__module__.partition(".")[0] in django_settings.ROOMS
    }


def own_records(caplog):
    """What the platform's own code wrote, and the server's lines; the database's own debugging is not kept anywhere."""
    return [record for record in caplog.records if not record.name.startswith("django.db")]


def test_the_inbox_keeps_no_payload(watched):
    live(watched)

    kept = json.dumps(list(InboxEvent.objects.values()), default=str)
    assert InboxEvent.objects.exists()
    assert CANARY not in kept.lower()
