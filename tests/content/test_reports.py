"""Readers report a post, moderators decide; neither touches its status or its audience."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import IntegrityError, transaction
from django.http import Http404
from django.urls import reverse
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.models import User
from content.access import Viewer
from content.events import Moderation, PostDeleted, PostUpdated
from content.exceptions import OwnPostError
from content.models.posts import Post
from content.models.reports import PostReport
from content.selectors import reported_posts
from content.services.lifecycle import delete_post, take_down_post, withdraw_post
from content.services.moderation import moderate_post
from content.services.reports import report_post
from eventbus.testing import published
from tests.content import factories
from tests.races import succeed_at_once

LONG_AGO = timezone.now() - timedelta(days=30)


def report(post: Post, *, by: UUID | None = None, since=LONG_AGO, reason: str = "spam") -> PostReport:
    found, _ = report_post(post_id=post.pk, viewer=Viewer(user_id=by or uuid7()), member_since=since, reason=reason)
    return found


def moderation_of(post: Post) -> str:
    return Post.objects.get(pk=post.pk).moderation


def test_enough_readers_have_a_post_looked_at_once(subscribers_post):
    for _ in range(2):
        report(subscribers_post)
    assert (moderation_of(subscribers_post), published()) == ("clear", [])

    for _ in range(2):
        report(subscribers_post)

    [told] = published(PostUpdated)
    assert (told.moderation, told.status, told.changed_fields) == (Moderation.FLAGGED, "published", ("moderation",))
    after = Post.objects.get(pk=subscribers_post.pk)
    assert (after.moderation, after.visibility, after.status) == ("flagged", "subscribers", "published")


def test_one_reader_counts_once(public_post):
    reader = uuid7()

    first = report(public_post, by=reader)
    for reason in ("violence", "other", "spam"):
        assert report(public_post, by=reader, reason=reason).pk == first.pk

    assert PostReport.objects.get().reason == "spam"
    assert moderation_of(public_post) == "clear"


def test_new_accounts_are_heard_but_flag_nothing(public_post):
    for _ in range(5):
        assert not report(public_post, since=timezone.now() - timedelta(days=6)).counts

    assert moderation_of(public_post) == "clear"
    [waiting] = reported_posts()
    assert (waiting.reporters, waiting.counting) == (5, 0)


def test_nobody_reports_their_own_post_or_what_is_not_there(public_post, creator_id):
    hidden = factories.published_post(creator_id)
    moderate_post(post_id=hidden.pk, moderation="hidden", actor_id=uuid7())

    with pytest.raises(OwnPostError):
        report(public_post, by=creator_id)
    for post in (hidden, factories.draft(creator_id)):
        with pytest.raises(Http404):
            report(post)

    assert not PostReport.objects.exists()


@pytest.mark.parametrize("decision", ["clear", "hidden"])
def test_a_decision_settles_what_was_reported(public_post, decision):
    reports = [report(public_post) for _ in range(3)]
    factories.forget_events()

    moderate_post(post_id=public_post.pk, moderation=decision, actor_id=uuid7())

    [told] = published(PostUpdated)
    assert told.moderation == decision
    assert set(PostReport.objects.values_list("decision", flat=True)) == {decision}
    assert PostReport.objects.filter(settled_at=None).count() == 0
    assert len(reports) == 3
    assert not reported_posts().exists()


def test_after_a_decision_as_many_new_readers_are_needed(public_post):
    for _ in range(3):
        report(public_post)
    moderate_post(post_id=public_post.pk, moderation="clear", actor_id=uuid7())

    for _ in range(2):
        report(public_post)
    assert moderation_of(public_post) == "clear"

    report(public_post)
    assert moderation_of(public_post) == "flagged"


def test_reports_of_a_clear_post_are_dismissed_without_an_event(public_post):
    report(public_post)

    moderate_post(post_id=public_post.pk, moderation="clear", actor_id=uuid7())

    assert published() == []
    assert PostReport.objects.get().decision == "clear"


@pytest.mark.parametrize("delete", ["by its creator", "by staff"])
def test_what_is_deleted_waits_for_nobody(public_post, creator_id, delete):
    report(public_post)

    if delete == "by staff":
        take_down_post(post_id=public_post.pk, reason="policy", actor_id=uuid7())
    else:
        delete_post(post_id=public_post.pk, creator_id=creator_id)

    assert [type(event) for event in published()] == [PostDeleted]
    assert PostReport.objects.get().decision == "deleted"


def test_a_withdrawn_post_is_flagged_where_it_stands(creator_id, reader):
    post = factories.published_post(creator_id, visibility="ppv", price=factories.PRICE)
    factories.purchase(reader.user_id, post)
    for _ in range(2):
        report(post)
    withdraw_post(post_id=post.pk, creator_id=creator_id)

    report(post, by=reader.user_id)

    after = Post.objects.get(pk=post.pk)
    assert (after.status, after.moderation) == ("withdrawn", "flagged")


@pytest.mark.parametrize(
    "values", [{"reason": "boredom"}, {"decision": "clear"}, {"settled_at": LONG_AGO}, {"decision": "maybe"}]
)
def test_the_database_knows_what_a_report_is(public_post, values):
    kept = report(public_post)

    with pytest.raises(IntegrityError), transaction.atomic():
        PostReport.objects.filter(pk=kept.pk).update(**values)


# Over HTTP


def test_over_http(fan_client, public_post):
    url = f"/api/v1/posts/{public_post.pk}/reports"

    first = fan_client.post(url, {"reason": "spam", "comment": "Sells shoes"}, format="json")
    again = fan_client.post(url, {"reason": "other"}, format="json")

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert set(first.json()) == {"id", "post_id", "reason", "comment", "created_at"}
    assert (first.json()["reason"], first.json()["comment"]) == ("spam", "Sells shoes")


def test_a_locked_post_is_reported_by_what_is_seen_of_it_and_tells_no_more(fan_client, creator_id):
    post = factories.published_post(creator_id, visibility="subscribers", title="Canary", title_is_public=False)
    url = f"/api/v1/posts/{post.pk}/reports"

    answers = [fan_client.post(url, {"reason": "spam"}, format="json") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0]["Cache-Control"] == "private, no-store"
    for word in ("Canary", "The whole story"):
        assert word not in answers[0].content.decode()
    assert fan_client.get(f"/api/v1/posts/{post.pk}").json()["is_locked"]


@pytest.mark.parametrize(
    "body", [{}, {"reason": "boredom"}, {"reason": "spam", "counts": True}, {"reason": "spam", "comment": "x" * 1001}]
)
def test_a_malformed_report_is_refused(fan_client, public_post, body):
    answer = fan_client.post(f"/api/v1/posts/{public_post.pk}/reports", body, format="json")

    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")
    assert not PostReport.objects.exists()


def test_ones_own_post_is_not_reported(maker, maker_client):
    post = factories.published_post(maker.pk)

    answer = maker_client.post(f"/api/v1/posts/{post.pk}/reports", {"reason": "spam"}, format="json")

    assert (answer.status_code, answer.json()["code"]) == (422, "own_post")


def test_the_age_of_the_account_is_read_from_the_account(fan, fan_client, public_post):
    fan_client.post(f"/api/v1/posts/{public_post.pk}/reports", {"reason": "spam"}, format="json")
    assert not PostReport.objects.get(reporter_id=fan.pk).counts

    User.objects.filter(pk=fan.pk).update(created_at=LONG_AGO)
    other = factories.published_post(uuid7())
    fan_client.post(f"/api/v1/posts/{other.pk}/reports", {"reason": "spam"}, format="json")
    assert PostReport.objects.get(post=other).counts


# The moderators' queue


@pytest.fixture
def office(client):
    client.force_login(User.objects.create_superuser("staff@example.org", "a password", display_name="Staff"))
    return client


QUEUE = "admin:content_reportedpost_changelist"


def decide(office, action, post):
    chosen = {"action": action, "_selected_action": [str(post.pk)]}
    return office.post(reverse(QUEUE), {**chosen, "confirmed": "yes", "reason": "Looked at"}, follow=True)


def test_the_queue_shows_the_most_reported_first_and_why(office, creator_id):
    image = factories.media(creator_id)
    little = factories.published_post(creator_id, title="Little")
    much = factories.published_post(creator_id, title="Much", media_ids=[image.pk])
    factories.published_post(creator_id, title="Nothing")
    report(little)
    for reason in ("violence", "violence", "spam"):
        report(much, reason=reason)

    text = office.get(reverse(QUEUE)).content.decode()

    assert text.index("Much") < text.index("Little")
    assert "Nothing" not in text
    assert "violence (2), spam or fraud (1)" in text
    assert f'<img src="/api/v1/media/files/{image.pk}/thumb_320?' in text


@pytest.mark.parametrize(
    ("action", "moderation", "status", "said"),
    [
        ("hide", "hidden", "published", "Hidden: 1."),
        ("clear", "clear", "published", "Cleared: 1."),
        ("take_down", "clear", "deleted", "Taken down: 1."),
    ],
)
def test_a_decision_takes_the_post_out_of_the_queue(*, office, public_post, action, moderation, status, said):
    report(public_post)

    answer = decide(office, action, public_post)

    after = Post.objects.get(pk=public_post.pk)
    assert (after.moderation, after.status) == (moderation, status)
    assert list(answer.context["cl"].queryset) == []
    assert [str(message) for message in answer.context["messages"]] == [said]


def test_the_queue_asks_as_many_questions_for_many_posts_as_for_one(
    office, creator_id, django_assert_max_num_queries, django_assert_num_queries
):
    report(factories.published_post(creator_id))
    with django_assert_max_num_queries(30) as first:
        office.get(reverse(QUEUE))
    for _ in range(5):
        report(factories.published_post(creator_id))

    with django_assert_num_queries(len(first)):
        office.get(reverse(QUEUE))


# Several at once


@pytest.mark.django_db(transaction=True)
def test_many_readers_at_once_flag_a_post_once(public_post):
    succeed_at_once(*[lambda: report(public_post)] * 6)

    assert PostReport.objects.counting().count() == 6
    assert [event.moderation for event in published(PostUpdated)] == [Moderation.FLAGGED]
