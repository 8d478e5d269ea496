"""Projections built anew from the journal: the same as those that lived, and nothing else moves."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from content.handlers import drop_media, keep_tier
from content.models.projections import Entitlement, MediaRef, TierRef
from eventbus.exceptions import CatalogError
from eventbus.journal.writer import JournalWriter
from eventbus.models import InboxEvent, JournalEvent, OperatorAction, OutboxEvent, ParkedEvent
from eventbus.processing import Processor
from eventbus.rebuild import rebuilding
from eventbus.rebuild.projections import projection, projections
from eventbus.rebuild.rebuilding import compare
from eventbus.testing import message_of
from media.handlers import note_references
from media.models.assets import MediaAsset
from media.models.references import MediaReference
from payments.models.orders import PaymentOrder
from payments.models.projections import PostOffer, SubscriptionRef
from payments.models.refunds import Refund
from subscriptions.events import TierCreated, TierUpdated
from tests.content.factories import tier_updated
from tests.eventbus.test_journal import JOURNAL
from tests.flows.test_permutations import FULL, known_to, lived
from tests.flows.world import NOW

ROOMS = ("content", "media", "payments")


@pytest.fixture
def journal(settings, db):
    settings.EVENTBUS = {**settings.EVENTBUS, "journal": JOURNAL}
    return JournalWriter()


@pytest.fixture
def told(world, journal):
    """A whole history, journaled."""
    events = lived(world, FULL)
    for event in events:
        journal.process([message_of(event)])
    return events


@pytest.fixture
def tier(journal):
    """A tier's two messages, handled by content and journaled; their ids are the same everywhere."""
    changed = tier_updated(name="Platinum", sequence=2)
    fields = {name: getattr(changed, name) for name in TierCreated.__struct_fields__ if hasattr(changed, name)}
    created = TierCreated(**{**fields, "id": "tier-created", "sequence": 1, "name": "Gold", "created_at": NOW})
    messages = [message_of(created), message_of(changed)]
    Processor("content").process(messages)
    journal.process(messages)
    return TierRef.objects.get()


def rebuilt(room, name, *flags):
    out = StringIO()
    call_command("rebuild_projection", room, name, *flags, stdout=out)
    return out.getvalue().splitlines()


def apply(room, name):
    return rebuilt(room, name, "--apply", "--reason", "damaged by hand", "--actor", "somebody")


def damage():
    """Something wrong in every projection: changed, missing, too many."""
    TierRef.objects.update(name="wrong")
    MediaRef.objects.update(status="failed", width=None)
    Entitlement.objects.filter(kind="subscription").update(valid_until=None)
    Entitlement.objects.filter(kind="purchase").first().delete()
    PostOffer.objects.update(on_sale=False)
    SubscriptionRef.objects.update(status="expired")
    references = list(MediaReference.objects.all())
    references[0].delete()
    MediaReference.objects.create(post_id=references[-1].post_id, media_id=references[-1].post_id)


def elsewhere():
    """What handlers would do besides, if they were believed."""
    models = (PaymentOrder, Refund, MediaAsset, OutboxEvent, ParkedEvent)
    inbox = set(InboxEvent.objects.values_list("group", "event_id"))
    return [sorted(map(repr, model.objects.values())) for model in models], inbox


def test_a_whole_history_rebuilds_every_projection_as_it_lives_and_nothing_else(
    told, django_capture_on_commit_callbacks
):
    live, others = {room: known_to(room) for room in ROOMS}, elsewhere()
    for declared in projections().values():
        outcome = compare(declared)
        assert (outcome.differences, outcome.failed, outcome.begun_before) == ([], {}, 0), declared.name
        assert outcome.retold, declared.name
    damage()
    assert {room for room in ROOMS if known_to(room) != live[room]} == set(ROOMS)

    with django_capture_on_commit_callbacks() as promised:
        for room, name in projections():
            apply(room, name)

    assert {room: known_to(room) for room in ROOMS} == live
    assert elsewhere() == others
    assert promised == []
    assert OperatorAction.objects.filter(action="rebuild", reason="damaged by hand").count() == len(projections())


def test_the_difference_is_shown_and_nothing_is_done(tier):
    TierRef.objects.update(name="wrong")

    assert rebuilt("content", "tiers") == [
        f"content.TierRef {tier.tier_id}: name wrong -> Platinum",
        "1 histories retold, 1 differ; nothing was done, --apply writes them.",
    ]
    assert TierRef.objects.get().name == "wrong"
    assert not OperatorAction.objects.exists()
    assert apply("content", "tiers")[-1] == "1 histories retold, 1 were written."
    assert TierRef.objects.get().name == "Platinum"
    assert rebuilt("content", "tiers") == ["1 histories retold, 0 differ; nothing was done, --apply writes them."]


def test_a_history_that_began_before_the_journal_is_left_alone(tier):
    JournalEvent.objects.filter(topic="subscription.tier.created").delete()
    TierRef.objects.update(name="older than the journal")

    assert apply("content", "tiers") == [
        "0 histories retold, 0 were written.",
        "1 began before the journal and were left as they are.",
    ]
    assert TierRef.objects.get().name == "older than the journal"


def test_what_the_group_has_not_handled_does_not_count_yet(tier, journal):
    journal.process([message_of(tier_updated(tier_id=tier.tier_id, sequence=3, name="Not heard of"))])

    assert compare(projections()["content", "tiers"]).differences == []


def test_what_is_parked_does_not_count_either(tier, journal):
    parked = message_of(tier_updated(tier_id=tier.tier_id, sequence=3, name="Parked"))
    journal.process([parked])
    row = JournalEvent.objects.latest("id")
    for model, fields in ((InboxEvent, {}), (ParkedEvent, {"key": row.key, "state": "dead"})):
        model.objects.create(
            group="content-consumer-group",
            topic=row.topic,
            partition=0,
            offset=row.offset,
            event_id=row.event_id,
            **fields,
        )

    assert compare(projections()["content", "tiers"]).differences == []


def test_a_journal_that_lacks_what_the_room_has_handled_is_not_believed(tier, monkeypatch):
    monkeypatch.setattr(rebuilding, "WAIT_SECONDS", 0.0)
    late = message_of(tier_updated(tier_id=tier.tier_id, sequence=3, name="Diamond"))
    Processor("content").process([late])

    with pytest.raises(CommandError, match="lacks 1 events that content-consumer-group has handled"):
        apply("content", "tiers")

    assert TierRef.objects.get().name == "Diamond"
    assert not OperatorAction.objects.exists()


def test_a_journal_that_catches_up_is_waited_for(tier, journal, monkeypatch):
    late = message_of(tier_updated(tier_id=tier.tier_id, sequence=3, name="Diamond"))
    Processor("content").process([late])
    monkeypatch.setattr(rebuilding.time, "sleep", lambda seconds: journal.process([late]))

    assert apply("content", "tiers") == ["1 histories retold, 0 were written."]


def test_a_history_that_cannot_be_retold_is_left_alone(tier, monkeypatch):
    def refuse(**fields):
        raise ValueError("no longer")

    monkeypatch.setattr("content.services.references.keep_tier", refuse)
    TierRef.objects.update(name="kept")

    assert apply("content", "tiers") == [
        "0 histories retold, 0 were written.",
        f"{tier.tier_id} was left as it is, its history cannot be retold: ValueError: no longer",
    ]
    assert TierRef.objects.get().name == "kept"


def test_others_cannot_write_the_table_meanwhile(tier):
    with rebuilding._locked(projections()["content", "tiers"]), connection.cursor() as cursor:
        cursor.execute("SELECT mode FROM pg_locks WHERE relation = 'content_tierref'::regclass AND granted")
        assert ("ShareRowExclusiveLock",) in cursor.fetchall()


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["content", "nothing"], "There is no projection content nothing; there are: content files, "),
        (["nowhere", "tiers"], "There is no projection nowhere tiers"),
        (["content", "tiers", "--apply"], "Say --reason"),
    ],
)
def test_what_cannot_be_rebuilt_is_named(journal, command, reason):
    with pytest.raises(CommandError, match=reason):
        rebuilt(*command)


def test_a_projection_is_declared_once_by_the_room_that_feeds_it():
    for name, fed_by, words in (
        ("tiers", {keep_tier: "tier_id"}, "content has two projections called 'tiers'"),
        ("mixed", {keep_tier: "tier_id", note_references: "post_id"}, "is fed by content, media"),
        ("orphan", {drop_media: "media_id"}, "begins with TierUpdated, which none of its handlers has"),
    ):
        with pytest.raises(CatalogError, match=words):
            projection(name, TierRef, key="tier_id", fed_by=fed_by, begins_with=TierUpdated)
