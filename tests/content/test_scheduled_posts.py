"""A post comes out at its time: once, whoever works on it meanwhile, and whatever its files do."""

from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from content import tasks
from content.events import PostCreated, PostStatus, PostUpdated
from content.exceptions import EmptyPostError, InvalidTransitionError, PublishTimeError
from content.models.posts import Post
from content.services import lifecycle, references
from content.services.lifecycle import publish_post, schedule_post, unschedule_post
from content.services.posts import LONGEST_WAIT, create_post, update_post
from content.tasks import publish_due_posts
from eventbus.testing import deliver, published
from tests.content import factories
from tests.races import at_once, succeed_at_once

TOMORROW = timezone.now() + timedelta(days=1)


def scheduled_post(creator_id, **fields) -> Post:
    post = factories.draft(creator_id, **fields)
    schedule_post(post_id=post.pk, creator_id=creator_id, publish_at=TOMORROW)
    factories.forget_events()
    return Post.objects.get(pk=post.pk)


def let_its_time_come(*posts: Post) -> None:
    past = timezone.now() - timedelta(seconds=1)
    Post.objects.filter(pk__in=[post.pk for post in posts]).update(publish_at=past)


def slow(creator_id):
    return factories.media(creator_id, status="processing")


def ready(media):
    return factories.media_processed(media_id=media.pk, owner_id=media.owner_id, sequence=5)


def test_a_draft_waits_for_its_time_and_comes_out_once(creator_id):
    post = factories.draft(creator_id)

    schedule_post(post_id=post.pk, creator_id=creator_id, publish_at=TOMORROW)

    [told] = published(PostUpdated)
    assert (told.status, told.previous_status, told.publish_at) == (PostStatus.SCHEDULED, PostStatus.DRAFT, TOMORROW)
    assert told.changed_fields == ("publish_at", "status")
    assert publish_due_posts() == 0

    let_its_time_come(post)
    assert (publish_due_posts(), publish_due_posts()) == (1, 0)

    [_, out] = published(PostUpdated)
    assert (out.status, out.previous_status, out.publish_at) == (PostStatus.PUBLISHED, PostStatus.SCHEDULED, None)
    assert out.sequence == told.sequence + 1
    post.refresh_from_db()
    assert (post.status, post.publish_at) == ("published", None)
    assert out.published_at == post.published_at


def test_the_time_can_be_changed_and_the_same_time_tells_nothing(creator_id):
    post, later = scheduled_post(creator_id), TOMORROW + timedelta(hours=1)

    schedule_post(post_id=post.pk, creator_id=creator_id, publish_at=TOMORROW)
    assert published() == []
    schedule_post(post_id=post.pk, creator_id=creator_id, publish_at=later)

    [told] = published(PostUpdated)
    assert (told.status, told.publish_at, told.changed_fields) == (PostStatus.SCHEDULED, later, ("publish_at",))


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(days=-1), LONGEST_WAIT + timedelta(minutes=1)])
def test_a_time_that_is_over_or_absurdly_far_is_refused(creator_id, ahead):
    post = factories.draft(creator_id)

    with pytest.raises(PublishTimeError, match="between now and 366 days ahead"):
        schedule_post(post_id=post.pk, creator_id=creator_id, publish_at=timezone.now() + ahead)

    assert Post.objects.get(pk=post.pk).status == Post.Status.DRAFT
    assert published() == []


def test_nothing_empty_is_scheduled(creator_id):
    post = factories.draft(creator_id, body="")

    with pytest.raises(EmptyPostError):
        schedule_post(post_id=post.pk, creator_id=creator_id, publish_at=TOMORROW)


def test_a_scheduled_post_becomes_a_draft_again(creator_id):
    post = scheduled_post(creator_id)

    for _ in range(2):
        after = unschedule_post(post_id=post.pk, creator_id=creator_id)

    assert (after.status, after.publish_at) == ("draft", None)
    [told] = published(PostUpdated)
    assert (told.status, told.publish_at) == (PostStatus.DRAFT, None)


def test_what_does_not_wait_for_a_time_is_not_unscheduled(creator_id):
    waiting = factories.published_post(creator_id, media_ids=[slow(creator_id).pk])

    for post in (waiting, factories.published_post(creator_id)):
        with pytest.raises(InvalidTransitionError):
            unschedule_post(post_id=post.pk, creator_id=creator_id)


def test_its_creator_publishes_it_early(creator_id):
    post = scheduled_post(creator_id)

    out = publish_post(post_id=post.pk, creator_id=creator_id)

    assert (out.status, out.publish_at) == ("published", None)


def test_with_files_in_processing_it_waits_for_them_first(creator_id):
    image = slow(creator_id)
    post = scheduled_post(creator_id, media_ids=[image.pk])
    assert post.status == Post.Status.AWAITING_MEDIA

    deliver(ready(image), to="content")

    [told] = published(PostUpdated)
    assert (told.status, told.publish_at) == (PostStatus.SCHEDULED, TOMORROW)


def test_with_files_that_come_after_its_time_it_comes_out_with_the_last(creator_id):
    image = slow(creator_id)
    post = scheduled_post(creator_id, media_ids=[image.pk])
    let_its_time_come(post)
    assert publish_due_posts() == 0

    deliver(ready(image), to="content")

    [told] = published(PostUpdated)
    assert (told.status, told.publish_at) == (PostStatus.PUBLISHED, None)


def test_what_waits_for_files_stops_waiting_for_a_time(creator_id):
    image = slow(creator_id)
    post = scheduled_post(creator_id, media_ids=[image.pk])

    publish_post(post_id=post.pk, creator_id=creator_id)
    deliver(ready(image), to="content")

    assert Post.objects.get(pk=post.pk).status == Post.Status.PUBLISHED


def test_a_refused_file_makes_it_a_draft_without_a_time(creator_id):
    image = slow(creator_id)
    post = scheduled_post(creator_id, media_ids=[image.pk])

    deliver(factories.media_rejected(media_id=image.pk, owner_id=creator_id, sequence=5), to="content")

    post.refresh_from_db()
    assert (post.status, post.publish_at, post.hold_reason) == ("draft", None, "media_rejected")


def test_a_lost_file_leaves_the_rest_scheduled_and_nothing_a_draft(creator_id):
    first, second = factories.media(creator_id), factories.media(creator_id)
    whole = scheduled_post(creator_id, media_ids=[first.pk])
    bare = scheduled_post(creator_id, body="", media_ids=[second.pk])

    for image in (first, second):
        deliver(factories.media_deleted(media_id=image.pk, owner_id=creator_id, sequence=6), to="content")

    whole.refresh_from_db()
    bare.refresh_from_db()
    assert (whole.status, whole.publish_at) == ("scheduled", TOMORROW)
    assert (bare.status, bare.publish_at, bare.hold_reason) == ("draft", None, "media_deleted")


def test_a_changed_scheduled_post_waits_for_its_new_file_and_keeps_its_time(creator_id):
    post = scheduled_post(creator_id)

    update_post(
        post_id=post.pk, creator_id=creator_id, version=post.version, fields={"media_ids": [slow(creator_id).pk]}
    )

    post.refresh_from_db()
    assert (post.status, post.publish_at) == ("awaiting_media", TOMORROW)


def test_a_new_post_is_scheduled_at_once(creator_id):
    fields = {"title": "Soon", "body": "x", "visibility": "public"}

    post = create_post(creator_id=creator_id, fields=fields, publish_at=TOMORROW)

    [told] = published(PostCreated)
    assert (post.status, told.status, told.publish_at) == ("scheduled", PostStatus.SCHEDULED, TOMORROW)


@pytest.mark.parametrize(
    "values", [{"status": "scheduled", "publish_at": None}, {"status": "draft", "publish_at": TOMORROW}]
)
def test_the_database_knows_what_a_time_belongs_to(creator_id, values):
    post = scheduled_post(creator_id)

    with pytest.raises(IntegrityError), transaction.atomic():
        Post.objects.filter(pk=post.pk).update(**values)


def test_one_that_fails_holds_up_no_other(creator_id, monkeypatch, caplog):
    bad, good = scheduled_post(creator_id), scheduled_post(creator_id)
    let_its_time_come(bad, good)
    tell = lifecycle.tell

    def fail(post, **fields):
        tell(post, **fields)
        if post.pk == bad.pk:
            raise RuntimeError("the process has a bad day")
        return post

    monkeypatch.setattr(lifecycle, "tell", fail)

    assert publish_due_posts() == 1

    assert [event.post_id for event in published()] == [good.pk]
    assert f"Post {bad.pk} could not be published at its time" in caplog.text
    monkeypatch.undo()
    assert publish_due_posts() == 1


def test_a_run_ends_in_time_and_the_next_goes_on(creator_id, monkeypatch):
    let_its_time_come(*(scheduled_post(creator_id) for _ in range(2)))
    monkeypatch.setattr(tasks, "PUBLISH_RUN_SECONDS", -1.0)
    assert publish_due_posts() == 0

    monkeypatch.undo()
    assert publish_due_posts() == 2


# Over HTTP


def test_over_http(maker, maker_client, guest_client):
    post = factories.draft(maker.pk)
    url = f"/api/v1/posts/{post.pk}"

    answer = maker_client.post(f"{url}/schedule", {"publish_at": TOMORROW.isoformat()}, format="json")
    assert (answer.status_code, answer.json()["status"]) == (200, "scheduled")
    assert guest_client.get(url).status_code == 404
    assert [row["id"] for row in maker_client.get("/api/v1/me/posts?status=scheduled").json()["results"]] == [
        str(post.pk)
    ]

    answer = maker_client.delete(f"{url}/schedule")
    assert (answer.status_code, answer.json()["status"], answer.json()["publish_at"]) == (200, "draft", None)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "validation_error"),
        ({"publish_at": "2030-01-31T09:00:00"}, 400, "validation_error"),
        ({"publish_at": "soon"}, 400, "validation_error"),
        ({"publish_at": "2020-01-31T09:00:00Z"}, 422, "publish_time_out_of_range"),
        ({"publish_at": "9999-12-31T23:59:59-14:00"}, 400, "validation_error"),
        ({"publish_at": TOMORROW.isoformat(), "status": "published"}, 400, "validation_error"),
    ],
)
def test_a_wrong_time_changes_nothing(maker, maker_client, body, status, code):
    post = factories.draft(maker.pk)

    answer = maker_client.post(f"/api/v1/posts/{post.pk}/schedule", body, format="json")

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert Post.objects.get(pk=post.pk).version == post.version


def test_a_new_post_names_a_time_or_publish_not_both(maker_client):
    body = {"title": "Soon", "body": "x", "visibility": "public", "publish_at": TOMORROW.isoformat()}

    scheduled = maker_client.post("/api/v1/posts", body, format="json", headers={"Idempotency-Key": str(uuid4())})
    both = maker_client.post(
        "/api/v1/posts", {**body, "publish": True}, format="json", headers={"Idempotency-Key": str(uuid4())}
    )

    assert (scheduled.status_code, scheduled.json()["status"]) == (201, "scheduled")
    assert (both.status_code, list(both.json()["errors"])) == (400, ["publish_at"])


def test_nobody_else_schedules_it(maker_client, creator_id):
    post = scheduled_post(creator_id)
    url = f"/api/v1/posts/{post.pk}/schedule"

    assert maker_client.post(url, {"publish_at": TOMORROW.isoformat()}, format="json").status_code == 404
    assert maker_client.delete(url).status_code == 404


# Several at once


@pytest.mark.django_db(transaction=True)
def test_two_rounds_at_once_publish_each_post_once(creator_id):
    posts = [scheduled_post(creator_id) for _ in range(10)]
    let_its_time_come(*posts)

    succeed_at_once(publish_due_posts, publish_due_posts)

    publish_due_posts()  # what both stepped over, because the other worked on it and rolled back
    assert sorted(event.post_id for event in published()) == sorted(post.pk for post in posts)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("step", "ends"),
    [
        (publish_post, ["published"]),
        (unschedule_post, ["published", "draft"]),
        (lifecycle.delete_post, ["deleted"]),
    ],
)
def test_a_round_beside_its_creator(creator_id, step, ends):
    posts = [scheduled_post(creator_id) for _ in range(5)]
    let_its_time_come(*posts)

    def act():
        for post in posts:
            with suppress(InvalidTransitionError):  # the round was first
                step(post_id=post.pk, creator_id=creator_id)

    succeed_at_once(publish_due_posts, act)
    publish_due_posts()

    for post in posts:
        post.refresh_from_db()
        told = [event for event in published() if event.post_id == post.pk]
        assert [event.sequence for event in told] == list(range(3, 3 + len(told)))
        assert post.status in ends
        outs = [event for event in told if getattr(event, "status", None) is PostStatus.PUBLISHED]
        assert len(outs) <= 1


@pytest.mark.django_db(transaction=True)
def test_a_post_that_somebody_works_on_is_left_for_the_next_round(creator_id):
    busy, free = scheduled_post(creator_id), scheduled_post(creator_id)
    let_its_time_come(busy, free)

    with transaction.atomic():
        Post.objects.locked().get(pk=busy.pk)
        assert at_once(publish_due_posts) == [1]

    assert [event.post_id for event in published()] == [free.pk]
    assert publish_due_posts() == 1


@pytest.mark.django_db(transaction=True)
def test_a_file_that_is_deleted_meanwhile_leaves_no_empty_post_out(creator_id):
    image = factories.media(creator_id)
    post = scheduled_post(creator_id, body="", media_ids=[image.pk])
    let_its_time_come(post)

    def delete_file():
        references.drop_media(media_id=image.pk, sequence=9, owner_id=creator_id, kind="image")

    succeed_at_once(publish_due_posts, delete_file)
    publish_due_posts()

    post.refresh_from_db()
    assert (post.status, post.hold_reason) == ("draft", "media_deleted")
