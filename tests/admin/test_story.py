"""An event's page in the admin: its cause, its effects, who has taken it, where it is stuck; and replay from there."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.urls import reverse

from content.models.projections import PostTip
from eventbus.journal.writer import JournalWriter
from eventbus.models import InboxEvent, JournalEvent, OperatorAction, ParkedEvent, Replay
from eventbus.testing import deliver, message_of, published
from payments.events import TipSent
from payments.models.orders import PaymentOrder
from payments.services.charging import charge
from tests.accounts.factories import make_creator, make_user
from tests.admin.rows import journaled_event, parked_event
from tests.admin.test_actions import act, told
from tests.payments.factories import make_method, make_offer, make_tip


@pytest.fixture
def journal_on(settings):
    settings.EVENTBUS = {**settings.EVENTBUS, "journal": {"client_id": "journal", "group_id": "journal-group"}}


@pytest.fixture
def tip(journal_on, db):
    """A tip for a post that was paid and is in the journal, and that content has not heard of."""
    fan, creator = make_user(), make_creator()
    charge(order_id=make_tip(fan, creator, make_method(fan.pk), post_id=make_offer(creator.pk).post_id).order_id)
    [sent] = published(TipSent)
    JournalWriter().process([message_of(sent)])
    return sent


def page_of(office, row):
    return office.get(reverse("admin:eventbus_journalevent_change", args=[row.pk])).content.decode()


def test_the_page_tells_cause_effects_groups_and_where_it_is_stuck(office, django_assert_num_queries):
    cause = journaled_event(topic="subscription.created")
    event = journaled_event(causation_id=cause.event_id, correlation_id="a story")
    effect, unrelated = journaled_event(topic="payment.completed", causation_id=event.event_id), journaled_event()
    copy = journaled_event(event_id=event.event_id)
    InboxEvent.objects.create(
        group="content-consumer-group", event_id=event.event_id, topic=event.topic, partition=0, offset=1
    )
    dead = parked_event(event_id=event.event_id, state=ParkedEvent.State.DEAD)
    page_of(office, unrelated)

    with django_assert_num_queries(8):  # session, person, the row, and five of its story
        page = page_of(office, event)

    for row in (cause, effect, copy):
        assert reverse("admin:eventbus_journalevent_change", args=[row.pk]) in page
    assert reverse("admin:eventbus_journalevent_change", args=[unrelated.pk]) not in page
    assert reverse("admin:eventbus_parkedevent_change", args=[dead.pk]) in page
    assert "content-consumer-group" in page
    assert "?q=a+story" in page
    assert "&lt;somebody&gt;" in page
    assert "<somebody>" not in page


@pytest.mark.parametrize("column", ["event_id", "key", "correlation_id"])
def test_an_event_is_found_by_its_id_its_key_and_its_story(office, column):
    event, _other = journaled_event(), journaled_event()

    found = office.get(reverse("admin:eventbus_journalevent_changelist"), {"q": getattr(event, column)})

    assert list(found.context["cl"].queryset) == [event]


@pytest.mark.usefixtures("journal_on")
def test_a_dead_letter_leads_to_its_story(office):
    dead = parked_event(event_id="a/b c", state=ParkedEvent.State.DEAD)

    page = office.get(reverse("admin:eventbus_parkedevent_change", args=[dead.pk])).content.decode()

    assert f"{reverse('admin:eventbus_journalevent_changelist')}?q=a%2Fb+c" in page


def test_it_is_asked_before_events_are_replayed(office, tip):
    [row] = JournalEvent.objects.all()

    asked = act(office, "eventbus/journalevent", "replay", row)
    without = act(office, "eventbus/journalevent", "replay", row, confirmed="yes", reason="", room="content")

    for answer in (asked, without):
        assert (answer.status_code, answer.templates[0].name) == (200, "eventbus/confirm_action.html")
    assert "content: record_tip" in asked.content.decode()
    assert not Replay.objects.exists()
    assert not PostTip.objects.exists()


def replay(office, *rows, **fields):
    return act(office, "eventbus/journalevent", "replay", *rows, confirmed="yes", reason="it was lost", **fields)


def test_what_a_room_has_missed_is_handed_to_it_and_the_rest_is_skipped(office, operator, tip):
    [row] = JournalEvent.objects.all()

    assert [text for _, text in told(replay(office, row, room="content"))] == [
        f"{Replay.objects.get()}: 1 handed over, 0 again, 0 skipped."
    ]
    assert PostTip.objects.get().tip_id == tip.tip_id

    answer = replay(office, row, room="content")

    assert [str(message) for message in get_messages(answer.wsgi_request)][-1].endswith("0 again, 1 skipped.")
    assert PostTip.objects.count() == 1
    actions = OperatorAction.objects.filter(action="replay")
    assert [(action.actor, action.reason) for action in actions] == [
        (f"{operator.pk} {operator.get_username()}", "it was lost")
    ] * 2


def test_a_handler_that_is_named_runs_again(office, tip):
    deliver(tip, to="content")
    PostTip.objects.all().delete()

    answer = replay(office, JournalEvent.objects.get(), room="content", again=["record_tip"])

    assert [text for _, text in told(answer)] == [f"{Replay.objects.get()}: 0 handed over, 1 again, 0 skipped."]
    assert PostTip.objects.count() == 1


def test_a_room_that_does_not_read_the_topic_is_refused(office, tip):
    answer = replay(office, JournalEvent.objects.get(), room="media")

    [(level, text)] = told(answer)
    assert level == "error"
    assert text.startswith("media does not read 'payment.tip.sent'; it reads ")
    assert not Replay.objects.exists()


def test_who_may_only_look_cannot_replay(client, newcomer, tip):
    newcomer.user_permissions.set(Permission.objects.filter(codename="view_journalevent"))
    client.force_login(newcomer)

    replay(client, JournalEvent.objects.get(), room="content")

    assert not Replay.objects.exists()


def test_a_payments_page_leads_to_its_events_and_no_others(office, tip):
    order = PaymentOrder.objects.get()
    own, unrelated = journaled_event(key=str(order.reference_id)), journaled_event()

    page = office.get(reverse("admin:payments_paymentorder_change", args=[order.pk])).content.decode()
    journal = reverse("admin:eventbus_journalevent_changelist")
    [address] = re.findall(rf'href="({journal}\?q=[^"]+)"', page)
    found = {row.pk for row in office.get(address).context["cl"].result_list}

    assert own.pk in found
    assert unrelated.pk not in found
