"""Who may read a post: the rule in Python and in SQL, held against each other and against examples."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from accounts.models import Block, User
from content import selectors
from content.access import ANONYMOUS, Viewer, can_view
from content.models.posts import Post, PostTier
from content.models.projections import Entitlement, TierRef

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
CREATORS = [uuid7(), uuid7()]
FANS = [uuid7(), uuid7()]
TIERS = [uuid7(), uuid7()]
PAIRS = list(permutations([*CREATORS, *FANS], 2))
VIEWERS = [
    ANONYMOUS,
    Viewer(user_id=CREATORS[0]),
    Viewer(user_id=FANS[0]),
    Viewer(user_id=FANS[1]),
    Viewer(user_id=FANS[0], is_moderator=True),
    Viewer(user_id=CREATORS[1], is_moderator=True),
    Viewer(is_moderator=True),
]
MOMENTS = [None, NOW - timedelta(days=2), NOW - timedelta(days=1), NOW, NOW + timedelta(days=1)]

posts = st.fixed_dictionaries(
    {
        "creator_id": st.sampled_from(CREATORS),
        "status": st.sampled_from(Post.Status.values),
        "moderation": st.sampled_from(Post.Moderation.values),
        "visibility": st.sampled_from(Post.Visibility.values),
        "withdrawn_at": st.sampled_from(MOMENTS[1:]),
        "tiers": st.sets(st.sampled_from(TIERS)),
    }
)
entitlements = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(Entitlement.Kind.values),
        "user_id": st.sampled_from(FANS),
        "creator_id": st.sampled_from(CREATORS),
        "tier_id": st.sampled_from(TIERS),
        "post": st.integers(0, 1),
        "valid_from": st.sampled_from(MOMENTS),
        "valid_until": st.sampled_from(MOMENTS),
        "revoked_at": st.sampled_from([None, None, NOW]),
    }
)


def store_blocks(blocks: set[tuple[UUID, UUID]]) -> None:
    users = [User(id=pk, email=f"{pk}@example.org", display_name="Robin") for pk in (*CREATORS, *FANS)]
    User.objects.bulk_create(users, ignore_conflicts=True)
    Block.objects.bulk_create([Block(blocker_id=one, blocked_id=other) for one, other in blocks])


def store_post(given_post: dict) -> Post:
    fields = {name: value for name, value in given_post.items() if name != "tiers"}
    is_sold = fields["visibility"] == "ppv"
    post = Post.objects.create(
        **fields,
        price_amount=500 if is_sold else None,
        price_currency="USD" if is_sold else None,
        deleted_at=NOW if fields["status"] == "deleted" else None,
        publish_at=NOW if fields["status"] == "scheduled" else None,
        published_at=NOW,
        created_at=NOW,
        updated_at=NOW,
    )
    PostTier.objects.bulk_create([PostTier(post=post, tier_id=tier_id) for tier_id in given_post["tiers"]])
    return post


def store_entitlement(held: dict, stored: list[Post]) -> Entitlement:
    fields = {name: value for name, value in held.items() if name != "post"}
    post_id = stored[held["post"]].pk if held["kind"] == "purchase" else None
    return Entitlement.objects.create(**fields, post_id=post_id, source_id=uuid7(), updated_at=NOW)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    given_posts=st.lists(posts, min_size=2, max_size=2),
    held=st.lists(entitlements, max_size=4),
    blocks=st.sets(st.sampled_from(PAIRS), max_size=2),
)
def test_python_and_sql_agree_on_every_post_for_every_viewer(given_posts, held, blocks):
    Block.objects.all().delete()
    store_blocks(blocks)
    Entitlement.objects.all().delete()
    PostTier.objects.all().delete()
    Post.objects.all().delete()
    refs = [TierRef(tier_id=pk, creator_id=CREATORS[0], name="x", status="active", source_sequence=1) for pk in TIERS]
    TierRef.objects.bulk_create(refs, ignore_conflicts=True)
    stored = [store_post(given_post) for given_post in given_posts]
    all_held = [store_entitlement(row, stored) for row in held]

    for viewer in VIEWERS:
        in_sql = set(Post.objects.visible_to(viewer, NOW).values_list("pk", flat=True))
        blocked = {other for one, other in [*blocks, *map(reversed, blocks)] if one == viewer.user_id}
        in_python = {post.pk for post in stored if can_view(viewer, post, NOW, entitlements=all_held, blocked=blocked)}
        as_read = selectors.readable_ids(viewer, stored, NOW)

        assert in_sql == in_python == as_read
        known = set(Post.objects.known_to(viewer, NOW).values_list("pk", flat=True))
        assert in_sql <= known
        hidden = {post.pk for post in stored if post.moderation == "hidden"}
        if not viewer.is_moderator:
            assert in_sql & hidden == set()
            assert known & {post.pk for post in stored if post.creator_id in blocked} == set()
            assert {post.creator_id for post in stored if post.pk in known & hidden} <= {viewer.user_id}
        else:
            assert known >= {post.pk for post in stored if post.status == "published"}


def seen(viewer: Viewer, post: Post, *held: Entitlement) -> bool:
    return can_view(viewer, post, NOW, entitlements=held, blocked=())


def a_post(**fields) -> Post:
    post = store_post(
        {
            "creator_id": CREATORS[0],
            "status": "published",
            "moderation": "clear",
            "visibility": "subscribers",
            "withdrawn_at": NOW,
            "tiers": set(),
            **fields,
        }
    )
    return Post.objects.get(pk=post.pk)


def a_subscription(**fields) -> Entitlement:
    values = {
        "user_id": FANS[0],
        "creator_id": CREATORS[0],
        "tier_id": TIERS[0],
        "valid_from": NOW - timedelta(days=10),
        "valid_until": NOW + timedelta(days=10),
        **fields,
    }
    return Entitlement(kind="subscription", source_id=uuid7(), **values)


def a_purchase(post: Post, **fields) -> Entitlement:
    values = {"user_id": FANS[0], "post_id": post.pk, "valid_from": NOW - timedelta(days=10), **fields}
    return Entitlement(kind="purchase", source_id=uuid7(), **values)


FAN = Viewer(user_id=FANS[0])


@pytest.fixture
def _tiers():
    for pk in TIERS:
        TierRef.objects.create(tier_id=pk, creator_id=CREATORS[0], name="x", status="active", source_sequence=1)


def test_a_subscription_opens_until_its_last_moment():
    post = a_post()

    assert seen(FAN, post, a_subscription(valid_until=NOW + timedelta(microseconds=1)))
    assert not seen(FAN, post, a_subscription(valid_until=NOW))


def test_a_subscription_without_an_end_opens_nothing():
    assert not seen(FAN, a_post(), a_subscription(valid_until=None))


def test_a_subscription_to_another_creator_opens_nothing():
    assert not seen(FAN, a_post(), a_subscription(creator_id=CREATORS[1]))


def test_somebody_elses_subscription_opens_nothing():
    assert not seen(FAN, a_post(), a_subscription(user_id=FANS[1]))


@pytest.mark.usefixtures("_tiers")
@pytest.mark.parametrize("visibility", ["tiers", "ppv"])
def test_only_an_allowed_tier_opens(visibility):
    post = a_post(visibility=visibility, tiers={TIERS[0]})

    assert seen(FAN, post, a_subscription(tier_id=TIERS[0]))
    assert not seen(FAN, post, a_subscription(tier_id=TIERS[1]))


def test_a_subscription_does_not_open_a_post_sold_singly():
    assert not seen(FAN, a_post(visibility="ppv"), a_subscription())


def test_a_purchase_opens_its_post_for_ever():
    post = a_post(visibility="ppv")

    assert seen(FAN, post, a_purchase(post))
    assert not seen(FAN, a_post(visibility="ppv"), a_purchase(post))
    assert not seen(FAN, post, a_purchase(post, revoked_at=NOW))


def test_a_withdrawn_post_stays_open_to_its_buyers_only():
    post = a_post(visibility="ppv", status="withdrawn")

    assert seen(FAN, post, a_purchase(post))
    assert not seen(FAN, post, a_subscription())
    assert not seen(FAN, a_post(visibility="public", status="withdrawn"))


@pytest.mark.usefixtures("_tiers")
def test_a_withdrawn_post_stays_open_to_the_included_tier_of_its_time():
    post = a_post(visibility="ppv", status="withdrawn", tiers={TIERS[0]}, withdrawn_at=NOW - timedelta(days=2))

    assert seen(FAN, post, a_subscription(valid_from=NOW - timedelta(days=2)))
    assert not seen(FAN, post, a_subscription(valid_from=NOW - timedelta(days=1)))


def test_a_deleted_post_is_closed_to_everyone():
    post = a_post(status="deleted", visibility="ppv")

    assert not seen(FAN, post, a_purchase(post))
    assert not seen(Viewer(user_id=CREATORS[0]), post)
    assert not seen(Viewer(is_moderator=True), post)


def test_a_hidden_post_is_read_by_moderators_and_known_to_its_creator():
    post = a_post(visibility="public", moderation="hidden")
    creator = Viewer(user_id=CREATORS[0])

    assert not seen(FAN, post)
    assert not seen(FAN, post, a_subscription(), a_purchase(post))
    assert not seen(creator, post)
    assert seen(Viewer(user_id=FANS[0], is_moderator=True), post)
    assert seen(Viewer(user_id=CREATORS[0], is_moderator=True), post)
    assert Post.objects.known_to(creator, NOW).filter(pk=post.pk).exists()
    assert not Post.objects.known_to(FAN, NOW).filter(pk=post.pk).exists()


def test_a_draft_is_for_its_creator_only():
    post = a_post(visibility="public", status="draft", moderation="flagged")

    assert not seen(FAN, post)
    assert not seen(Viewer(is_moderator=True), post)
    assert seen(Viewer(user_id=CREATORS[0]), post)
