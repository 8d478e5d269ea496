"""What staff do in the admin: asked about first where it matters, done by the services, told as it was, remembered."""

from unittest.mock import patch

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.contrib.messages import get_messages
from django.utils import timezone

from accounts.models import User
from content.access import Viewer
from content.events import PostDeleted, PostUpdated
from content.models.posts import Post
from content.services.comments import add_comment
from eventbus.models import BreakerRule, HeldKey, OperatorAction, OutboxEvent, ParkedEvent, PausedTopic
from eventbus.pages import MOST_AT_ONCE
from eventbus.testing import published
from media.models.assets import MediaAsset
from payments.gateways.sandbox import SandboxGateway
from payments.models.orders import PaymentOrder
from payments.models.refunds import Refund
from payments.models.sandbox import SandboxCharge
from payments.services.charging import STALE_AFTER, charge, charge_of, claim
from subscriptions.events import CancelledBy, CancelMode, SubscriptionCancelled, TierUpdated
from subscriptions.models.subscriptions import Subscription
from subscriptions.models.tiers import Tier
from tests.accounts.factories import make_creator, make_user
from tests.admin.rows import active_subscription, make_eventbus, parked_event
from tests.content import factories as content
from tests.media import factories as media
from tests.payments import factories as payments

REASON = "The owner wrote to us"


def act(client, page, action, *rows, **fields):
    chosen = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    return client.post(f"/admin/{page}/", {**chosen, **fields})


def confirm(client, page, action, *rows):
    return act(client, page, action, *rows, confirmed="yes", reason=REASON)


def told(answer):
    return [(message.level_tag, str(message)) for message in get_messages(answer.wsgi_request)]


def permit(user, *names):
    user.user_permissions.set(Permission.objects.filter(codename__in=names))


@pytest.fixture
def subscription(db):
    return active_subscription()


@pytest.fixture
def post(db):
    return content.published_post(make_creator().pk)


@pytest.fixture
def paid(db):
    fan, creator = make_user(), make_creator()
    tip = payments.make_tip(fan, creator, payments.make_method(fan.pk))
    charge(order_id=tip.order_id)
    content.forget_events()
    return PaymentOrder.objects.get()


@pytest.fixture
def dead(db):
    return parked_event(state=ParkedEvent.State.DEAD, attempts=8)


@pytest.fixture
def held(db):
    make_eventbus()
    return HeldKey.objects.get()


@pytest.fixture
def comment(post):
    return add_comment(post_id=post.pk, viewer=Viewer(user_id=make_user().pk), body="Buy shoes")


@pytest.fixture
def asset(db):
    return media.processed()


@pytest.fixture
def person(db):
    return make_user()


# The fixture of a row, its page, and an action that asks first.
CHOICES = [
    ("person", "accounts/user", "suspend"),
    ("subscription", "subscriptions/subscription", "cancel_at_period_end"),
    ("subscription", "subscriptions/subscription", "cancel_at_once"),
    ("tier", "subscriptions/tier", "archive"),
    ("paid", "payments/paymentorder", "refund_all"),
    ("post", "content/post", "hide"),
    ("post", "content/post", "clear"),
    ("post", "content/post", "take_down"),
    ("comment", "content/comment", "hide"),
    ("asset", "media/mediaasset", "remove"),
    ("dead", "eventbus/parkedevent", "discard_dead"),
    ("held", "eventbus/heldkey", "skip"),
]


@pytest.fixture
def tier(subscription):
    return subscription.tier


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice[2])
def test_it_is_asked_before_and_a_reason_is_wanted(office, request, choice):
    name, page, action = choice
    row = request.getfixturevalue(name)
    content.forget_events()
    before = type(row).objects.values().get(pk=row.pk)

    asked = act(office, page, action, row)
    without = act(office, page, action, row, confirmed="yes", reason="  ")

    assert (asked.status_code, asked.templates[0].name) == (200, "eventbus/confirm_action.html")
    assert f'value="{row.pk}"' in asked.content.decode()
    assert str(row) in asked.content.decode()
    assert without.context["form"].errors == {"reason": ["This field is required."]}
    assert type(row).objects.values().get(pk=row.pk) == before
    assert published() == []
    assert not LogEntry.objects.exists()
    assert not OperatorAction.objects.filter(action__in=["discard", "skip"]).exists()


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice[2])
def test_who_may_only_look_cannot_act(client, newcomer, request, choice):
    name, page, action = choice
    row = request.getfixturevalue(name)
    content.forget_events()
    before = type(row).objects.values().get(pk=row.pk)
    permit(newcomer, f"view_{row._meta.model_name}")
    client.force_login(newcomer)

    confirm(client, page, action, row)

    assert type(row).objects.values().get(pk=row.pk) == before
    assert published() == []
    assert not LogEntry.objects.exists()


def test_a_suspension_keeps_its_reason_and_leaves_oneself_out(office, operator, person):
    answer = confirm(office, "accounts/user", "suspend", person, operator)

    person.refresh_from_db()
    assert (person.is_suspended, person.suspension_reason) == (True, REASON)
    assert not User.objects.get(pk=operator.pk).is_suspended
    assert told(answer) == [("success", "Suspended: 1."), ("warning", "Left as they were, nothing to do: 1.")]
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.change_message) == (operator, str(person.pk), f"Suspended: {REASON}")


def test_support_neither_suspends_a_superuser_nor_becomes_one(client, newcomer, operator):
    permit(newcomer, "change_user", "view_user")
    client.force_login(newcomer)

    confirm(client, "accounts/user", "suspend", operator)
    theirs = client.post(f"/admin/accounts/user/{operator.pk}/change/", {"email": "taken@example.org"})
    form = {"email": newcomer.email, "display_name": "Still me", "is_active": "on", "is_superuser": "on"}
    own = client.post(f"/admin/accounts/user/{newcomer.pk}/change/", {**form, **inline_counts()})

    operator.refresh_from_db()
    newcomer.refresh_from_db()
    assert (operator.is_suspended, operator.email, theirs.status_code) == (False, "operator@example.org", 403)
    assert (newcomer.is_superuser, newcomer.display_name, own.status_code) == (False, "Still me", 302)


def inline_counts():
    return {"creator_profile-TOTAL_FORMS": "0", "creator_profile-INITIAL_FORMS": "0"}


@pytest.mark.parametrize(
    ("mode", "action"), [("at_period_end", "cancel_at_period_end"), ("immediate", "cancel_at_once")]
)
def test_cancelling_goes_through_the_service(office, operator, subscription, mode, action):
    confirm(office, "subscriptions/subscription", action, subscription)

    told_rooms = published(SubscriptionCancelled)
    assert [(event.cancelled_by, event.mode) for event in told_rooms] == [(CancelledBy.STAFF, CancelMode(mode))]
    assert LogEntry.objects.get().change_message.endswith(f": {REASON}")


def test_what_the_rules_refuse_is_told_and_not_remembered_as_done(office, subscription):
    confirm(office, "subscriptions/subscription", "cancel_at_once", subscription)
    answer = confirm(office, "subscriptions/subscription", "cancel_at_once", subscription)

    subscription.refresh_from_db()
    assert subscription.status == Subscription.Status.CANCELLED
    assert told(answer)[-1] == ("error", f"{subscription}: The subscription is over")
    assert LogEntry.objects.count() == 1


def test_a_tier_is_archived_and_offered_again(office, tier):
    confirm(office, "subscriptions/tier", "archive", tier)
    assert Tier.objects.get().status == Tier.Status.ARCHIVED
    act(office, "subscriptions/tier", "restore", tier)

    assert Tier.objects.get().status == Tier.Status.ACTIVE
    assert len(published(TierUpdated)) == 2


def test_finance_staff_give_nothing_back_to_themselves(client, paid):
    payer = User.objects.get(pk=paid.payer_id)
    payer.is_staff = True
    payer.save(update_fields=["is_staff"])
    payer.groups.add(Group.objects.get_or_create(name="staff_finance")[0])
    permit(payer, "view_paymentorder")
    client.force_login(payer)

    answer = confirm(client, "payments/paymentorder", "refund_all", paid)

    assert [level for level, _ in told(answer)] == ["error"]
    assert "somebody else has to give it back" in told(answer)[0][1]
    assert (Refund.objects.count(), LogEntry.objects.count()) == (0, 0)


def test_a_gateway_that_names_another_amount_is_told_to_who_asked_and_the_next_is_asked(office, db):
    fan, creator = make_user(), make_creator()
    method = payments.make_method(fan.pk)
    tips = [payments.make_tip(fan, creator, method) for _ in range(2)]
    for tip in tips:
        SandboxGateway().create_payment(charge_of(claim(order_id=tip.order_id)))
    PaymentOrder.objects.update(lock_acquired_at=timezone.now() - 2 * STALE_AFTER)
    wrong, right = PaymentOrder.objects.all()
    SandboxCharge.objects.filter(idempotency_key__startswith=wrong.pk).update(amount=wrong.amount + 1)

    answer = act(office, "payments/paymentorder", "ask_gateway", wrong, right)

    assert [level for level, _ in told(answer)] == ["error", "success"]
    assert "captured 1001 USD" in told(answer)[0][1]
    assert dict(PaymentOrder.objects.values_list("pk", "status")) == {wrong.pk: "processing", right.pk: "succeeded"}


def test_a_refund_is_promised_once_and_names_who_asked(office, operator, paid):
    answer = confirm(office, "payments/paymentorder", "refund_all", paid)
    again = confirm(office, "payments/paymentorder", "refund_all", paid)

    refund = Refund.objects.get()
    assert (refund.amount, refund.source, refund.requested_by) == (paid.amount, Refund.Source.STAFF, operator.pk)
    assert told(answer) == [("success", "Refund on its way: 1.")]
    assert [level for level, _ in told(again)][-1] == "error"
    assert LogEntry.objects.get().change_message == f"Refund on its way: {REASON}"


def test_asking_the_gateway_says_when_there_was_nothing_to_ask(office, paid):
    answer = act(office, "payments/paymentorder", "ask_gateway", paid)

    assert told(answer) == [("warning", "Left as they were, nothing to do: 1.")]


def test_a_post_is_hidden_cleared_and_taken_down(office, post):
    confirm(office, "content/post", "hide", post)
    again = confirm(office, "content/post", "hide", post)
    confirm(office, "content/post", "clear", post)
    confirm(office, "content/post", "take_down", post)

    assert [event.moderation for event in published(PostUpdated)] == ["hidden", "clear"]
    assert [event.refund_purchases for event in published(PostDeleted)] == [True]
    assert told(again)[-1] == ("warning", "Left as they were, nothing to do: 1.")
    done = list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True))
    assert done == [f"Hidden: {REASON}", f"Cleared: {REASON}", f"Taken down: {REASON}"]
    assert Post.objects.get().status == Post.Status.DELETED


def test_only_a_living_file_is_removed(office, asset):
    with patch("media.tasks.remove_deleted_files.delay"):
        confirm(office, "media/mediaasset", "remove", asset)
        again = confirm(office, "media/mediaasset", "remove", asset)

    assert MediaAsset.objects.get().deletion_reason == MediaAsset.DeletionReason.POLICY
    assert told(again)[-1] == ("warning", "Left as they were, nothing to do: 1.")
    assert LogEntry.objects.get().change_message == f"Removed: {REASON}"


def test_a_dead_letter_is_discarded_with_its_reason_and_nothing_else_is(office, operator, dead):
    waiting = parked_event(state=ParkedEvent.State.QUEUED, key=dead.key)

    answer = confirm(office, "eventbus/parkedevent", "discard_dead", dead, waiting)

    assert not ParkedEvent.objects.filter(pk=dead.pk).exists()
    assert ParkedEvent.objects.get().pk == waiting.pk
    done = OperatorAction.objects.get()
    assert (done.action, done.reason) == ("discard", REASON)
    assert str(operator.pk) in done.actor
    assert told(answer) == [
        ("success", "Dead letters given up, their keys go on: 1."),
        ("warning", "No dead letters, left as they were: 1."),
    ]


def test_a_dead_letter_is_tried_again_at_one_click(office, dead):
    answer = act(office, "eventbus/parkedevent", "retry_dead", dead)

    dead.refresh_from_db()
    assert (dead.state, dead.attempts) == (ParkedEvent.State.RETRYING, 0)
    assert OperatorAction.objects.get().action == "retry"
    assert told(answer) == [("success", "Dead letters that will be tried again: 1.")]


def test_a_refused_event_is_released_or_skipped(office, held):
    OperatorAction.objects.all().delete()
    act(office, "eventbus/heldkey", "release", held)
    assert (HeldKey.objects.count(), OutboxEvent.objects.count()) == (0, 1)

    event = OutboxEvent.objects.get()
    again = HeldKey.objects.create(topic=event.topic, key=event.key, outbox_id=event.pk, reason="too large")
    confirm(office, "eventbus/heldkey", "skip", again)

    assert (HeldKey.objects.count(), OutboxEvent.objects.count()) == (0, 0)
    assert set(OperatorAction.objects.values_list("action", "reason")) == {
        ("release", "from the admin"),
        ("skip", REASON),
    }


def test_the_key_of_a_waiting_event_is_held_with_a_reason(office, held):
    OperatorAction.objects.all().delete()
    HeldKey.objects.all().delete()

    confirm(office, "eventbus/outboxevent", "hold", OutboxEvent.objects.get())

    event, found = OutboxEvent.objects.get(), HeldKey.objects.get()
    assert (found.topic, found.key, found.reason) == (event.topic, event.key, REASON)
    assert list(OperatorAction.objects.values_list("action", "reason")) == [("hold", REASON)]


def test_too_many_at_once_are_refused(office):
    letters = [parked_event(state=ParkedEvent.State.DEAD) for _ in range(MOST_AT_ONCE + 1)]

    answer = act(office, "eventbus/parkedevent", "discard_dead", letters[0], select_across="1")

    assert told(answer) == [("error", f"Choose at most {MOST_AT_ONCE} at a time; nothing was done.")]
    assert ParkedEvent.objects.count() == MOST_AT_ONCE + 1


def test_only_the_rows_that_were_shown_are_touched(office, dead):
    asked = act(office, "eventbus/parkedevent", "discard_dead", dead, select_across="1").content.decode()
    late = parked_event(state=ParkedEvent.State.DEAD)

    assert "select_across" not in asked
    confirm(office, "eventbus/parkedevent", "discard_dead", dead)
    assert list(ParkedEvent.objects.all()) == [late]


def test_a_paused_topic_is_read_again_at_one_click(office, operator):
    make_eventbus()
    paused = PausedTopic.objects.get()

    answer = act(office, "eventbus/pausedtopic", "resume", paused)

    assert not PausedTopic.objects.exists()
    assert told(answer) == [("success", "Topics that are read again: 1.")]
    action = OperatorAction.objects.get(action="resume")
    assert (action.actor, action.target) == (
        f"{operator.pk} {operator.get_username()}",
        f"{paused.group} {paused.topic}",
    )


def test_many_dead_letters_are_tried_again_at_a_rate_and_too_many_are_not(office, dead):
    parked_event(state=ParkedEvent.State.DEAD)
    with patch("eventbus.admin.RETRIED_A_SECOND", 0.1):
        act(office, "eventbus/parkedevent", "retry_dead", dead, select_across="1")
    first, second = ParkedEvent.objects.order_by("id").values_list("next_attempt_at", flat=True)
    assert round((second - first).total_seconds()) == 10

    ParkedEvent.objects.update(state=ParkedEvent.State.DEAD, next_attempt_at=None)
    with patch("eventbus.admin.MOST_RETRIED", 1):
        answer = act(office, "eventbus/parkedevent", "retry_dead", dead, select_across="1")
    assert told(answer)[-1] == ("error", "Choose at most 1 at a time; nothing was done.")
    assert ParkedEvent.objects.dead().count() == 2


def test_a_breakers_rule_is_set_by_hand_and_nonsense_is_refused(office, db):
    rule = {"group": "content-consumer-group", "share": "0.8", "least_keys": "5"}
    seconds = {"window_seconds": "30", "probe_seconds": "10"}

    refused = office.post("/admin/eventbus/breakerrule/add/", {**rule, **seconds, "share": "1.5"})
    assert "a_breakers_share_is_a_part_of_all" in refused.content.decode()
    assert not BreakerRule.objects.exists()

    office.post("/admin/eventbus/breakerrule/add/", {**rule, **seconds})
    assert BreakerRule.objects.get().share == 0.8
