"""Who tells what to whom: the table is the contract, the code must match it in both directions."""

import ast
from importlib import import_module

import pytest

from eventbus.events import registered
from eventbus.handlers import handlers_of
from tests.house.checkout import ROOMS, calls, dotted, imports, module_files, place, tree

# topic: (the room that tells it, its partition key, its aggregate, the rooms that answer it)
TOPICS = {
    "subscription.tier.created": ("subscriptions", "tier_id", "tier", {"content"}),
    "subscription.tier.updated": ("subscriptions", "tier_id", "tier", {"content"}),
    "subscription.created": ("subscriptions", "subscription_id", "subscription", {"payments", "content"}),
    "subscription.updated": ("subscriptions", "subscription_id", "subscription", {"payments", "content"}),
    "subscription.cancelled": ("subscriptions", "subscription_id", "subscription", {"payments", "content"}),
    "payment.completed": ("payments", "reference_id", "payment", {"subscriptions"}),
    "payment.failed": ("payments", "reference_id", "payment", {"subscriptions"}),
    "payment.tip.sent": ("payments", "tip_id", "tip", {"content"}),
    "payment.post.purchased": ("payments", "purchase_id", "post_purchase", {"content"}),
    "payment.refunded": ("payments", "reference_id", "payment", {"subscriptions", "content"}),
    "content.post.created": ("content", "post_id", "post", {"payments", "media"}),
    "content.post.updated": ("content", "post_id", "post", {"payments", "media"}),
    "content.post.deleted": ("content", "post_id", "post", {"payments", "media"}),
    "content.post.liked": ("content", "post_id", "post_like", {"content"}),
    "content.post.unliked": ("content", "post_id", "post_like", {"content"}),
    "content.comment.created": ("content", "post_id", "comment", {"content"}),
    "media.uploaded": ("media", "media_id", "media", {"media", "content"}),
    "media.processed": ("media", "media_id", "media", {"content"}),
    "media.deleted": ("media", "media_id", "media", {"content"}),
}


def specs_of_the_rooms():
    """What the four rooms register; other tests may register events of their own."""
    return {topic: spec for topic, spec in registered().items() if spec.source.removeprefix("/") in ROOMS}


def published_classes(room: str) -> set[str]:
    """The event classes that the room's services hand to publish(), directly or by a name given just before."""
    found: set[str] = set()
    for file in module_files(room, "services"):
        if calls(file, "publish"):
            found |= {dotted(node) for node in ast.walk(tree(file)) if isinstance(node, ast.Call)}
    return {name.partition(".")[0] for name in found}


def test_the_rooms_register_exactly_these_topics():
    assert set(specs_of_the_rooms()) == set(TOPICS)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_has_its_producer_key_and_aggregate(topic):
    spec = registered()[topic]

    assert (spec.source.removeprefix("/"), spec.key, spec.aggregate) == TOPICS[topic][:3]


@pytest.mark.parametrize("topic", TOPICS)
def test_an_event_is_published_by_a_service_of_its_room(topic):
    room, event_class = TOPICS[topic][0], registered()[topic].event_class.__name__

    assert event_class in published_classes(room), f"no service of {room} publishes {event_class}"


@pytest.mark.parametrize("topic", TOPICS)
def test_an_event_is_answered_by_exactly_its_rooms(topic):
    for room in ROOMS:
        import_module(f"{room}.handlers")

    assert {room for room in ROOMS if topic in handlers_of(room)} == TOPICS[topic][3]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_reads_nothing_of_another_but_its_events(room):
    others = {other for other in ROOMS if other != room}
    trespasses = [
        f"{place(file, line)} imports {module}"
        for name in ("handlers", "services", "selectors", "models", "views", "tasks", "admin", "serializers")
        for file in module_files(room, name)
        for line, module, _ in imports(file)
        if module.partition(".")[0] in others
        and not (name == "handlers" and module == f"{module.partition('.')[0]}.events")
    ]

    assert trespasses == [], "; ".join(trespasses)


def test_an_event_carries_no_text_that_names_a_person():
    personal = {"email", "display_name", "body", "message", "text", "url", "token", "card_number", "password"}
    found = {
        f"{spec.event_class.__name__}.{name}"
        for spec in specs_of_the_rooms().values()
        for name in spec.event_class.__struct_fields__
        if name in personal
    }

    assert found == set()
