"""Staff look at content, and act only through the services."""

import pytest
from django.contrib import admin
from django.urls import reverse
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.models import User
from content.access import Viewer
from content.events import PostDeleted, PostUpdated
from content.models.posts import Post
from content.models.projections import Entitlement, LikeSignal, MediaRef, PostTip, PostTrend, TierRef
from content.models.reactions import Comment, PostLike
from content.models.reports import ModerationEntry, PostReport, ReportedPost
from content.services.comments import add_comment
from content.services.likes import like_post
from content.services.moderation import moderate_post
from content.services.reports import report_post
from eventbus.testing import published
from tests.content import factories

REGISTERED = [
    ModerationEntry,
    Comment,
    Entitlement,
    LikeSignal,
    MediaRef,
    Post,
    PostLike,
    PostReport,
    PostTip,
    PostTrend,
    ReportedPost,
    TierRef,
]


@pytest.fixture
def staff_client(client):
    client.force_login(User.objects.create_superuser("staff@example.org", "a password", display_name="Staff"))
    return client


def act(client, action, post):
    address = reverse("admin:content_post_changelist")
    chosen = {"action": action, "_selected_action": [str(post.pk)]}
    return client.post(address, {**chosen, "confirmed": "yes", "reason": "Reported twice"})


@pytest.mark.parametrize("model", REGISTERED)
def test_every_list_can_be_looked_at_and_searched(staff_client, model, public_post, reader):
    factories.purchase(uuid7(), public_post)
    factories.media(uuid7())
    factories.tier(uuid7())
    like_post(post_id=public_post.pk, viewer=reader)
    add_comment(post_id=public_post.pk, viewer=reader, body="Hello")
    address = reverse(f"admin:content_{model._meta.model_name}_changelist")

    assert staff_client.get(address).status_code == 200
    assert staff_client.get(f"{address}?q={uuid7()}").status_code == 200


@pytest.mark.parametrize("model", REGISTERED)
def test_nothing_is_written_by_hand(staff_client, model, rf):
    request = rf.get("/")
    request.user = User.objects.get()
    model_admin = admin.site.get_model_admin(model)

    assert not model_admin.has_add_permission(request)
    assert not model_admin.has_change_permission(request)
    assert not model_admin.has_delete_permission(request)


def test_a_post_can_be_looked_at_with_its_parts(staff_client, creator_id):
    image = factories.media(creator_id)
    post = factories.published_post(creator_id, media_ids=[image.pk])

    answer = staff_client.get(reverse("admin:content_post_change", args=[post.pk]))

    assert answer.status_code == 200
    assert str(image) in answer.content.decode()


def test_hiding_and_clearing_go_through_the_service(staff_client, public_post):
    act(staff_client, "hide", public_post)
    act(staff_client, "clear", public_post)

    assert [event.moderation for event in published(PostUpdated)] == ["hidden", "clear"]


def test_taking_down_deletes_and_refunds(staff_client, public_post):
    act(staff_client, "take_down", public_post)

    assert [event.refund_purchases for event in published(PostDeleted)] == [True]


def test_who_may_only_look_cannot_act(client, public_post):
    user = User.objects.create_user("look@example.org", "a password", display_name="Look", is_staff=True)
    client.force_login(user)

    act(client, "take_down", public_post)

    assert Post.objects.get().status == "published"
    assert published() == []


def test_comments_are_hidden_and_reinstated_for_a_reason_that_is_kept(staff_client, public_post, reader):
    comment = add_comment(post_id=public_post.pk, viewer=reader, body="Buy shoes")
    factories.forget_events()
    address = reverse("admin:content_comment_changelist")
    for action in ("hide", "hide", "reinstate"):
        chosen = {"action": action, "_selected_action": [str(comment.pk)], "confirmed": "yes", "reason": f"To {action}"}
        assert staff_client.post(address, chosen).status_code == 302

    comment.refresh_from_db()
    assert (comment.status, comment.body) == ("published", "Buy shoes")
    kept = ModerationEntry.objects.order_by("created_at").values_list("action", "actor_id", "reason", "comment_id")
    staff = User.objects.get().pk
    assert list(kept) == [("hide", staff, "To hide", comment.pk), ("clear", staff, "To reinstate", comment.pk)]
    assert published() == []


def test_the_queue_chosen_by_reason_counts_as_before_and_asks_open_reports_only(staff_client, creator_id):
    posts = [factories.published_post(creator_id, title=title) for title in ("Wanted", "Settled", "Other")]
    wanted, settled, other = posts
    for post, reasons in ((wanted, ["spam", "spam", "violence"]), (settled, ["spam"]), (other, ["violence"])):
        for reason in reasons:
            report(post, reason)
    moderate_post(post_id=settled.pk, moderation="clear", actor_id=uuid7())
    report(settled, "violence")

    answer = staff_client.get(reverse("admin:content_reportedpost_changelist") + "?reason=spam")

    assert [(row.title, row.reporters) for row in answer.context["cl"].result_list] == [("Wanted", 3)]


def report(post, reason):
    report_post(post_id=post.pk, viewer=Viewer(user_id=uuid7()), member_since=timezone.now(), reason=reason)
