"""Posts over HTTP."""

import json

import pytest
from django.core.cache import cache
from django.utils import timezone
from uuid_utils.compat import uuid7

from content.events import PostCreated
from content.models.posts import Post
from content.models.projections import LikeSignal
from content.services.lifecycle import delete_post, withdraw_post
from content.services.posts import create_post
from content.services.tips import record_tip
from content.services.trending import note_likes, rescore_stale
from eventbus.testing import published
from tests.content import factories
from tests.content.factories import PRICE

LOCKED_FIELDS = {
    "is_locked",
    "id",
    "creator_id",
    "title",
    "teaser",
    "content_type",
    "visibility",
    "price",
    "tiers",
    "media_kinds",
    "placeholder",
    "previews",
    "like_count",
    "comment_count",
    "published_at",
}
FULL_FIELDS = LOCKED_FIELDS | {"body", "media", "comments_enabled", "liked", "status"}
OWN_FIELDS = FULL_FIELDS | {
    "title_is_public",
    "moderation",
    "hold_reason",
    "publish_at",
    "price_version",
    "tips",
    "version",
    "created_at",
    "updated_at",
}


@pytest.fixture(autouse=True)
def _fresh_counters():
    cache.clear()


def post_json(client, body, key=None):
    return client.post("/api/v1/posts", body, headers={"Idempotency-Key": key or f"key-{uuid7()}"})


def test_a_creator_writes_a_post(maker_client, maker):
    answer = post_json(
        maker_client,
        {
            "visibility": "ppv",
            "price": {"amount": 500, "currency": "USD"},
            "title": "  Sea ",
            "body": "Waves",
            "publish": True,
        },
    )

    assert answer.status_code == 201
    assert set(answer.json()) == OWN_FIELDS
    assert answer.json()["title"] == "Sea"
    assert answer.json()["status"] == "published"
    assert answer.json()["price"] == {"amount": 500, "currency": "USD"}
    assert answer["ETag"] == '"1"'
    assert answer["Cache-Control"] == "private, no-store"
    post = Post.objects.get()
    assert post.creator_id == maker.pk
    assert [event.post_id for event in published(PostCreated)] == [post.pk]


def test_the_same_key_writes_one_post(maker_client):
    body = {"visibility": "public", "body": "Once"}

    first = post_json(maker_client, body, key="the-same-key-twice")
    second = post_json(maker_client, body, key="the-same-key-twice")

    assert first.json() == second.json()
    assert second["Idempotent-Replayed"] == "true"
    assert Post.objects.count() == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"visibility": "everyone"},
        {"visibility": "public", "status": "published"},
        {"visibility": "public", "like_count": 5},
        {"visibility": "public", "creator_id": str(uuid7())},
        {"visibility": "public", "title": "x" * 121},
        {"visibility": "public", "body": "x" * 10_001},
        {"visibility": "public", "title": "two\nlines"},
        {"visibility": "public", "body": "\u202egnp.exe"},
        {"visibility": "public", "title": 5},
        {"visibility": "public", "publish": "yes"},
        {"visibility": "ppv", "price": 500},
        {"visibility": "ppv", "price": {"amount": 5.5, "currency": "USD"}},
        {"visibility": "ppv", "price": {"amount": 500, "currency": "usd"}},
        {"visibility": "public", "media_ids": [str(uuid7())] * 2},
        {"visibility": "public", "media_ids": [str(uuid7()) for _ in range(21)]},
        {"visibility": "public", "media_ids": "all"},
    ],
)
def test_what_is_malformed_writes_nothing(maker_client, body):
    answer = post_json(maker_client, body)

    assert answer.status_code == 400
    assert answer.json()["code"] == "validation_error"
    assert Post.objects.count() == 0
    assert published() == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"visibility": "ppv", "body": "x"}, "price_required"),
        ({"visibility": "public", "body": "x", "media_ids": [str(uuid7())]}, "media_not_owned"),
        ({"visibility": "tiers", "body": "x", "tier_ids": [str(uuid7())]}, "tier_unknown"),
        ({"visibility": "public", "publish": True}, "empty_post"),
        ({"visibility": "ppv", "body": "x", "price": {"amount": 1, "currency": "USD"}}, "amount_out_of_range"),
        ({"visibility": "ppv", "body": "x", "price": {"amount": 500, "currency": "XXX"}}, "currency_not_supported"),
    ],
)
def test_what_does_not_fit_writes_nothing(maker_client, body, code):
    answer = post_json(maker_client, body)

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert Post.objects.count() == 0


def test_only_creators_write(fan_client, guest_client):
    body = {"visibility": "public", "body": "x"}

    assert post_json(fan_client, body).status_code == 403
    assert post_json(guest_client, body).status_code == 401
    assert Post.objects.count() == 0


def test_a_creator_changes_what_they_have_seen(maker_client, maker):
    post = factories.published_post(maker.pk)

    answer = maker_client.patch(f"/api/v1/posts/{post.pk}", {"title": "New"}, headers={"If-Match": '"1"'})

    assert answer.status_code == 200
    assert (answer.json()["title"], answer.json()["version"], answer["ETag"]) == ("New", 2, '"2"')
    old = maker_client.patch(f"/api/v1/posts/{post.pk}", {"title": "Old"}, headers={"If-Match": '"1"'})
    assert (old.status_code, old.json()["code"]) == (412, "version_conflict")
    blind = maker_client.patch(f"/api/v1/posts/{post.pk}", {"title": "Blind"})
    assert (blind.status_code, blind.json()["code"]) == (428, "version_required")
    assert Post.objects.get().title == "New"


def test_no_change_reaches_what_only_the_server_writes(maker_client, maker):
    post = factories.published_post(maker.pk)

    for name in ("status", "like_count", "creator_id", "version", "moderation", "price_version", "publish"):
        answer = maker_client.patch(f"/api/v1/posts/{post.pk}", {name: "x"}, headers={"If-Match": '"1"'})
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [name])

    assert Post.objects.get().version == 1


def test_publish_withdraw_and_delete(maker_client, maker):
    post = factories.draft(maker.pk)
    address = f"/api/v1/posts/{post.pk}"

    assert maker_client.post(f"{address}/publish").json()["status"] == "published"
    assert maker_client.post(f"{address}/publish").json()["code"] == "invalid_transition"
    assert maker_client.post(f"{address}/withdraw").json()["status"] == "withdrawn"
    assert maker_client.delete(address).status_code == 204
    assert maker_client.get(address).status_code == 404


def test_a_bought_post_is_not_deleted(maker_client, maker, fan):
    post = factories.published_post(maker.pk, visibility="ppv", price=PRICE)
    factories.purchase(fan.pk, post)

    answer = maker_client.delete(f"/api/v1/posts/{post.pk}")

    assert (answer.status_code, answer.json()["code"]) == (409, "has_purchases")
    assert Post.objects.get().status == "published"


@pytest.mark.parametrize("method", ["patch", "delete", "publish", "withdraw"])
def test_somebody_elses_post_and_no_post_answer_alike(maker_client, method):
    others = factories.published_post(uuid7())
    bodies = []
    for post_id in (others.pk, uuid7()):
        address = f"/api/v1/posts/{post_id}"
        if method in ("patch", "delete"):
            answer = getattr(maker_client, method)(
                address, {} if method == "patch" else None, headers={"If-Match": '"1"'}
            )
        else:
            answer = maker_client.post(f"{address}/{method}")
        assert answer.status_code == 404
        bodies.append({name: value for name, value in answer.json().items() if name != "trace_id"})

    assert bodies[0] == bodies[1]
    assert Post.objects.get().version == 1


def secret_post(creator_id, **fields):
    image = factories.media(creator_id)
    return factories.published_post(creator_id, **{"body": "SECRET", "media_ids": [image.pk], **fields})


@pytest.mark.parametrize("visibility", ["subscribers", "tiers", "ppv"])
def test_a_locked_post_gives_nothing_away(guest_client, fan_client, creator_id, visibility):
    tier = factories.tier(creator_id)
    fields = {"subscribers": {}, "tiers": {"tier_ids": [tier.pk]}, "ppv": {"tier_ids": [tier.pk], "price": PRICE}}
    post = secret_post(creator_id, visibility=visibility, title="Sh", title_is_public=False, **fields[visibility])

    for client in (guest_client, fan_client):
        answers = [
            client.get(f"/api/v1/posts/{post.pk}").json(),
            *client.get("/api/v1/posts").json()["results"],
            *client.get(f"/api/v1/posts?creator={creator_id}").json()["results"],
        ]
        assert len(answers) == 3
        for answer in answers:
            assert set(answer) == LOCKED_FIELDS
            assert (answer["is_locked"], answer["title"], answer["teaser"]) == (True, None, "How it began")
            assert answer["media_kinds"] == {"image": 1}
            text = json.dumps(answer)
            for secret in ("SECRET", str(post.media_ids[0]), "web_1280", "Sh"):
                assert secret not in text


def test_who_holds_a_right_reads_everything(fan_client, fan, creator_id):
    post = secret_post(creator_id, visibility="subscribers")
    factories.subscription(fan.pk, creator_id)

    answer = fan_client.get(f"/api/v1/posts/{post.pk}")

    assert set(answer.json()) == FULL_FIELDS
    assert (answer.json()["is_locked"], answer.json()["body"]) == (False, "SECRET")
    assert answer.json()["media"] == [
        {
            "id": str(post.media_ids[0]),
            "kind": "image",
            "status": "ready",
            "width": 1280,
            "height": 720,
            "duration_ms": None,
            "variants": ["thumb_320", "web_1280"],
        }
    ]
    assert "ETag" not in answer


def test_looking_without_reading_follows_the_same_rule(guest_client, subscribers_post):
    assert guest_client.head(f"/api/v1/posts/{subscribers_post.pk}").status_code == 200
    assert guest_client.head("/api/v1/feed").status_code == 401
    assert guest_client.put(f"/api/v1/posts/{subscribers_post.pk}").status_code == 401


def test_what_is_not_out_is_not_there(fan_client, guest_client, fan, creator_id):
    gone = factories.published_post(creator_id)
    delete_post(post_id=gone.pk, creator_id=creator_id)
    off_sale = factories.published_post(creator_id)
    withdraw_post(post_id=off_sale.pk, creator_id=creator_id)
    hidden = factories.published_post(creator_id)
    Post.objects.filter(pk=hidden.pk).update(moderation="hidden")
    factories.subscription(fan.pk, creator_id)

    for post in (gone, off_sale, hidden, factories.draft(creator_id)):
        for client in (fan_client, guest_client):
            assert client.get(f"/api/v1/posts/{post.pk}").status_code == 404
            assert client.get("/api/v1/posts").json()["results"] == []


def test_a_buyer_goes_on_reading_what_was_withdrawn(fan_client, fan, creator_id):
    post = factories.published_post(creator_id, visibility="ppv", price=PRICE)
    factories.purchase(fan.pk, post)
    withdraw_post(post_id=post.pk, creator_id=creator_id)

    assert fan_client.get(f"/api/v1/posts/{post.pk}").json()["body"] == "The whole story"


def test_a_creator_sees_drafts_and_tips(maker_client, maker):
    post = factories.draft(maker.pk)
    published_one = factories.published_post(maker.pk)
    factories.published_post(uuid7())
    for amount in (100, 50):
        record_tip(tip_id=uuid7(), post_id=published_one.pk, sender_id=uuid7(), amount=amount, currency="USD")

    own = maker_client.get("/api/v1/me/posts").json()["results"]
    assert [row["id"] for row in own] == [str(published_one.pk), str(post.pk)]
    assert [row["tips"] for row in own] == [[{"amount": 150, "currency": "USD"}], []]
    drafts = maker_client.get("/api/v1/me/posts?status=draft").json()["results"]
    assert [row["id"] for row in drafts] == [str(post.pk)]
    assert maker_client.get("/api/v1/me/posts?status=deleted").status_code == 400


def test_the_feed_is_what_one_subscribes_to(fan_client, guest_client, fan, creator_id):
    other, lapsed = uuid7(), uuid7()
    factories.subscription(fan.pk, creator_id)
    factories.subscription(fan.pk, lapsed, valid_until=timezone.now())
    first = factories.published_post(creator_id, visibility="subscribers")
    second = factories.published_post(creator_id, visibility="ppv", price=PRICE)
    factories.draft(creator_id)
    factories.published_post(other)
    factories.published_post(lapsed)

    rows = fan_client.get("/api/v1/feed").json()["results"]

    assert [(row["id"], row["is_locked"]) for row in rows] == [(str(second.pk), True), (str(first.pk), False)]
    assert guest_client.get("/api/v1/feed").status_code == 401


def test_a_walk_through_pages_meets_each_post_once(guest_client, creator_id):
    made = [factories.published_post(creator_id) for _ in range(5)]

    met, address = [], f"/api/v1/posts?creator={creator_id}&page_size=2"
    while address:
        page = guest_client.get(address).json()
        met += [row["id"] for row in page["results"]]
        address = page["next"]
        if len(met) == 2:
            factories.published_post(creator_id)

    assert met == [str(post.pk) for post in reversed(made)]


def test_trending_pages_by_score(guest_client, creator_id):
    made = [factories.published_post(creator_id) for _ in range(3)]
    for likes, post in zip((30, 3, 300), made, strict=True):
        for _ in range(likes):
            note_likes(signals=[LikeSignal(post_id=post.pk, user_id=uuid7(), revision=1, active=True)])
    rescore_stale()

    first = guest_client.get("/api/v1/posts/trending?page_size=2").json()
    second = guest_client.get(first["next"]).json()

    ranked = [row["id"] for row in [*first["results"], *second["results"]]]
    assert ranked == [str(made[2].pk), str(made[0].pk), str(made[1].pk)]
    assert second["next"] is None


@pytest.mark.parametrize("address", ["/api/v1/posts", "/api/v1/feed", "/api/v1/posts/trending"])
def test_a_page_costs_as_many_queries_as_one_post(fan_client, fan, creator_id, address, django_assert_num_queries):
    tier, image = factories.tier(creator_id), factories.media(creator_id)
    factories.subscription(fan.pk, creator_id, tier_id=tier.pk)

    for count in (1, 6):
        for _ in range(count):
            post = factories.published_post(
                creator_id, visibility="tiers", tier_ids=[tier.pk], media_ids=[image.pk], body="Hello"
            )
            note_likes(signals=[LikeSignal(post_id=post.pk, user_id=uuid7(), revision=1, active=True)])
        rescore_stale()
        # posts, files, tiers, entitlements, blocks, likes, and the viewer's roles
        with django_assert_num_queries(7):
            rows = fan_client.get(address).json()["results"]
        assert {row["is_locked"] for row in rows} == {False}


def test_own_posts_cost_the_same_for_many(maker_client, maker, django_assert_num_queries):
    assert maker.is_creator  # asked once, then remembered
    for count in (1, 6):
        for _ in range(count):
            create_post(creator_id=maker.pk, fields={"visibility": "public", "body": "x"})
        # role, posts, files, tiers, entitlements, likes, tips
        with django_assert_num_queries(7):
            maker_client.get("/api/v1/me/posts")
