"""A creator writes and changes posts."""

import pytest
from uuid_utils.compat import uuid7

from api.exceptions import AmountOutOfRangeError, VersionConflictError
from api.money import Money
from content.events import ContentType, PostCreated, PostStatus, PostUpdated, Visibility
from content.exceptions import (
    EmptyPostError,
    MediaNotOwnedError,
    MediaUnusableError,
    PriceNotAllowedError,
    PriceRequiredError,
    TierArchivedError,
    TierNotOwnedError,
    TiersNotAllowedError,
    TiersRequiredError,
    TierUnknownError,
)
from content.models.posts import Post
from content.services.posts import create_post, update_post
from eventbus.testing import published
from tests.content import factories
from tests.content.factories import PRICE


def create(creator_id, *, status=Post.Status.DRAFT, **fields):
    return create_post(creator_id=creator_id, fields={"visibility": "public", "body": "Hello", **fields}, status=status)


def update(post, **fields):
    return update_post(post_id=post.pk, creator_id=post.creator_id, version=post.version, fields=fields)


def test_a_draft_is_told_with_all_that_others_may_know(creator_id):
    tier = factories.tier(creator_id)
    image = factories.media(creator_id)

    post = create(
        creator_id, visibility="ppv", price=PRICE, tier_ids=[tier.pk], media_ids=[image.pk], teaser="See", title="Sea"
    )

    [event] = published()
    assert event == PostCreated(
        id=event.id,
        timestamp=event.timestamp,
        sequence=1,
        post_id=post.pk,
        creator_id=creator_id,
        status=PostStatus.DRAFT,
        content_type=ContentType.IMAGE,
        visibility=Visibility.PPV,
        allowed_tier_ids=(tier.pk,),
        price_amount=500,
        price_currency="USD",
        price_version=1,
        media_ids=(image.pk,),
        has_teaser=True,
        created_at=post.created_at,
    )


def test_no_word_of_a_post_is_in_its_events(creator_id):
    post = create(creator_id, body="Secret words", teaser="Quiet teaser", title="Hidden title")
    update(post, body="Other words")

    told = b"".join(event.encode() for event in published())
    assert len(published()) == 2
    for word in (b"Secret", b"Other", b"Quiet", b"Hidden"):
        assert word not in told


def test_a_post_published_at_once_says_so_in_one_event(creator_id):
    post = create(creator_id, status=Post.Status.PUBLISHED)

    [event] = published()
    assert type(event) is PostCreated
    assert event.status is PostStatus.PUBLISHED
    assert event.published_at == post.published_at


def test_published_with_files_in_processing_it_waits(creator_id):
    image = factories.media(creator_id, status="processing")

    post = create(creator_id, status=Post.Status.PUBLISHED, media_ids=[image.pk])

    assert post.status == Post.Status.AWAITING_MEDIA
    assert post.published_at is None
    assert [event.status for event in published(PostCreated)] == [PostStatus.AWAITING_MEDIA]


@pytest.mark.parametrize(
    ("kinds", "content_type"),
    [([], "text"), (["video"], "video"), (["audio", "audio"], "audio"), (["image", "video"], "mixed")],
)
def test_the_content_type_follows_from_the_files(creator_id, kinds, content_type):
    media = [factories.media(creator_id, kind=kind).pk for kind in kinds]

    assert create(creator_id, media_ids=media).content_type == content_type


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"visibility": "ppv"}, PriceRequiredError),
        ({"visibility": "public", "price": PRICE}, PriceNotAllowedError),
        ({"visibility": "ppv", "price": Money(amount=1, currency="USD")}, AmountOutOfRangeError),
        ({"visibility": "tiers"}, TiersRequiredError),
        ({"visibility": "tiers", "tier_ids": [uuid7()]}, TierUnknownError),
        ({"visibility": "subscribers", "tier_ids": [uuid7()]}, TiersNotAllowedError),
        ({"media_ids": [uuid7()]}, MediaNotOwnedError),
    ],
)
def test_what_does_not_fit_is_refused(creator_id, fields, error):
    with pytest.raises(error):
        create(creator_id, **fields)

    assert Post.objects.count() == 0
    assert published() == []


@pytest.mark.parametrize("status", ["rejected", "failed", "deleted"])
def test_a_file_that_will_never_be_shown_is_refused(creator_id, status):
    image = factories.media(creator_id, status=status)

    with pytest.raises(MediaUnusableError):
        create(creator_id, media_ids=[image.pk])

    assert Post.objects.count() == 0


def test_another_creators_file_and_tier_are_refused(creator_id):
    other = uuid7()
    image, tier = factories.media(other), factories.tier(other)

    with pytest.raises(MediaNotOwnedError):
        create(creator_id, media_ids=[image.pk])
    with pytest.raises(TierNotOwnedError):
        create(creator_id, visibility="tiers", tier_ids=[tier.pk])

    assert Post.objects.count() == 0
    assert published() == []


def test_nothing_cannot_be_published(creator_id):
    with pytest.raises(EmptyPostError):
        create(creator_id, status=Post.Status.PUBLISHED, body="")

    assert Post.objects.count() == 0


def test_a_change_is_the_next_version_and_the_next_event(creator_id):
    post = factories.published_post(creator_id)

    updated = update(post, title="A longer walk", visibility="subscribers")

    assert (updated.title, updated.visibility, updated.version, updated.sequence) == (
        "A longer walk",
        "subscribers",
        2,
        2,
    )
    [event] = published(PostUpdated)
    assert event.sequence == 2
    assert event.changed_fields == ("title", "visibility")
    assert event.previous_visibility is Visibility.PUBLIC
    assert event.previous_status is PostStatus.PUBLISHED
    assert event.visibility is Visibility.SUBSCRIBERS


def test_a_change_that_changes_nothing_is_not_told(creator_id):
    post = factories.published_post(creator_id, title="A walk")

    assert update(post, title="A walk", visibility="public").version == 1
    assert published() == []


def test_a_change_of_an_old_version_is_refused(creator_id):
    post = factories.published_post(creator_id)
    update(post, title="First")
    factories.forget_events()

    with pytest.raises(VersionConflictError):
        update(post, title="Second")

    post.refresh_from_db()
    assert post.title == "First"
    assert published() == []


def test_a_new_price_is_a_new_price_version_and_the_same_price_is_not(creator_id):
    post = factories.published_post(creator_id, visibility="ppv", price=PRICE)

    post = update(post, price=Money(amount=700, currency="USD"))
    assert post.price_version == 2
    post = update(post, price=Money(amount=700, currency="USD"), title="Same price")
    assert post.price_version == 2
    post = update(post, price=Money(amount=700, currency="EUR"))
    assert post.price_version == 3

    assert [event.price_version for event in published(PostUpdated)] == [2, 2, 3]


def test_a_post_that_is_given_away_loses_its_price_and_tiers(creator_id):
    tier = factories.tier(creator_id)
    post = factories.published_post(creator_id, visibility="ppv", price=PRICE, tier_ids=[tier.pk])

    update(post, visibility="public")

    [event] = published(PostUpdated)
    assert (event.price_amount, event.price_currency, event.allowed_tier_ids) == (None, None, ())
    assert event.changed_fields == ("allowed_tier_ids", "price", "visibility")


def test_a_tier_archived_later_stays_and_cannot_be_chosen_anew(creator_id):
    tier = factories.tier(creator_id)
    post = factories.published_post(creator_id, visibility="tiers", tier_ids=[tier.pk])
    tier.status = "archived"
    tier.save(update_fields=["status"])

    assert update(post, title="Kept").allowed_tier_ids == [tier.pk]
    with pytest.raises(TierArchivedError):
        create(creator_id, visibility="tiers", tier_ids=[tier.pk])


def test_the_files_of_a_post_can_be_put_in_another_order(creator_id):
    first, second = factories.media(creator_id), factories.media(creator_id)
    post = factories.published_post(creator_id, media_ids=[first.pk, second.pk])

    update(post, media_ids=[second.pk, first.pk])

    [event] = published(PostUpdated)
    assert event.media_ids == (second.pk, first.pk)
    assert event.changed_fields == ("media_ids",)


def test_a_published_post_takes_only_ready_files(creator_id):
    image = factories.media(creator_id, status="processing")
    post = factories.published_post(creator_id)

    with pytest.raises(MediaUnusableError):
        update(post, media_ids=[image.pk])

    assert Post.objects.get(pk=post.pk).media_ids == []
    assert published() == []


def test_a_published_post_cannot_be_emptied(creator_id):
    post = factories.published_post(creator_id)

    with pytest.raises(EmptyPostError):
        update(post, body="")

    assert Post.objects.get(pk=post.pk).body == "The whole story"


def test_a_waiting_post_comes_out_when_its_slow_file_is_taken_away(creator_id):
    slow = factories.media(creator_id, status="processing")
    post = factories.published_post(creator_id, media_ids=[slow.pk])
    assert post.status == Post.Status.AWAITING_MEDIA

    update(post, media_ids=[])

    [event] = published(PostUpdated)
    assert event.status is PostStatus.PUBLISHED
    assert event.changed_fields == ("media_ids", "status")
