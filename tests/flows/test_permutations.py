"""Whatever happened, every room ends up knowing the same, in whatever order the topics arrive and however often."""

from random import Random

from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from content.events import PostDeleted, PostUnliked, PostUpdated
from content.models.projections import Entitlement, LikeSignal, MediaRef, PostTip, TierRef
from eventbus.events import spec_of
from eventbus.handlers import handlers_of
from eventbus.models import InboxEvent, OutboxEvent, ParkedEvent
from eventbus.processing import Processor
from eventbus.testing import message_of
from media.events import MediaDeleted
from media.models.references import MediaReference, PostRefState
from payments.events import PaymentRefunded
from payments.models.projections import PostOffer, SubscriptionRef
from subscriptions.events import SubscriptionCancelled
from tests.flows.history import STEPS, History
from tests.flows.world import assert_the_books_agree, retold

PROJECTIONS = {
    "content": [Entitlement, LikeSignal, MediaRef, PostTip, TierRef],
    "media": [MediaReference, PostRefState],
    "payments": [PostOffer, SubscriptionRef],
}
WRITTEN_AT_DELIVERY = {"id", "updated_at"}
OFTEN = ["subscribe", "buy", "tip", "like", "refund", "settle", "settle"]

steps = st.tuples(st.sampled_from(STEPS + OFTEN * 2), st.integers(0, 1), st.integers(0, 11))


FULL = [  # one history in which every projection has rows, and most of them a change of mind
    ("subscribe", 0, 0),
    ("settle", 0, 0),
    ("subscribe", 1, 1),
    ("buy", 1, 1),
    ("tip", 1, 1),
    ("tip", 0, 2),
    ("like", 0, 0),
    ("like", 1, 0),
    ("comment", 0, 0),
    ("unlike", 0, 0),
    ("settle", 0, 0),
    ("cancel", 0, 0),
    ("resume", 0, 0),
    ("cancel", 1, 2),
    ("refund", 0, 1),
    ("refund", 0, 2),
    ("refund", 0, 4),
    ("reprice", 0, 1),
    ("write", 0, 3),
    ("settle", 0, 0),
    ("buy", 0, 0),
    ("buy", 0, 1),
    ("remove_file", 0, 0),
    ("delete", 0, 0),
    ("take_down", 0, 1),
    ("withdraw", 0, 2),
    ("archive", 0, 0),
]


@example(taken=FULL, seed=1)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(taken=st.lists(steps, min_size=25, max_size=40), seed=st.integers(0, 2**32))
def test_projections_do_not_depend_on_the_order_between_topics(world, taken, seed):
    with transaction.atomic():
        told = lived(world, taken)
        expected = {room: known_to(room) for room in PROJECTIONS}
        for room in PROJECTIONS:
            for number in range(3):
                assert relearned(room, told, Random(seed + number)) == expected[room]
        transaction.set_rollback(True)


def lived(world, taken):
    """What was told in this history, in the order of its telling; each event was delivered right then."""
    world.told = []
    history = History(world)
    for step, fan, thing in taken:
        history.take(step, fan, thing)
    world.settle()
    world.reconcile()
    world.settle()
    assert_the_books_agree()
    return list(world.told)


def test_the_full_history_fills_every_projection(world):
    lived(world, FULL)

    assert [model.__name__ for models in PROJECTIONS.values() for model in models if not model.objects.exists()] == []
    wanted = {SubscriptionCancelled, PostDeleted, PostUpdated, PaymentRefunded, PostUnliked, MediaDeleted}
    assert wanted - {type(event) for event in world.told} == set()


def known_to(room):
    """Every row of the room's projections, without what says when it was written."""
    return {
        model.__name__: sorted(
            sorted((name, str(value)) for name, value in row.items() if name not in WRITTEN_AT_DELIVERY)
            for row in model.objects.values()
        )
        for model in PROJECTIONS[room]
    }


def relearned(room, told, random):
    """What the room knows when it forgets everything and hears it again, shuffled between topics and with repeats."""
    for model in PROJECTIONS[room]:
        rows = model.objects.all()
        rows._raw_delete(rows.db)  # rows of the room itself refer to some: the check waits for the transaction's end
    InboxEvent.objects.all().delete()
    heard = with_repeats(shuffled(heard_by(room, told), random), random)
    Processor(room).process([message_of(event) for event in heard])
    OutboxEvent.objects.all().delete()
    assert not ParkedEvent.objects.exists()
    return known_to(room)


def heard_by(room, told):
    return [event for event in told if spec_of(type(event)).topic in handlers_of(room)]


def shuffled(events, random):
    """Each topic in its own order, the topics one before, between or after another."""
    topics = {}
    for event in events:
        topics.setdefault(type(event), []).append(event)
    drawn = [type(event) for event in events]
    random.shuffle(drawn)
    return [topics[topic].pop(0) for topic in drawn]


def with_repeats(events, random):
    """The events and, at any later place, some of them again: the same message, or the same fact under another id."""
    repeated = list(events)
    for event in random.sample(events, len(events) // 3):
        place = random.randint(repeated.index(event) + 1, len(repeated))
        repeated.insert(place, random.choice([event, retold(event)]))
    return repeated
