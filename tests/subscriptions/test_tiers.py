"""Tiers and prices: what may be offered, what changes, what the other rooms hear."""

import pytest

from api.exceptions import CurrencyNotSupportedError, VersionConflictError
from eventbus.testing import published
from subscriptions.events import Interval, TierCreated, TierStatus, TierUpdated
from subscriptions.exceptions import (
    FreeAndPaidPricesError,
    PriceExistsError,
    PriceInactiveError,
    PriceOutOfRangeError,
    TierArchivedError,
    TierNameTakenError,
    TierNotArchivedError,
    TooManyTiersError,
)
from subscriptions.models.tiers import Tier, TierPrice
from subscriptions.services.tiers import (
    PriceTerms,
    add_price,
    archive_tier,
    create_tier,
    deactivate_price,
    restore_tier,
    update_tier,
)
from tests.subscriptions.factories import forget_events, make_creator, make_tier, monthly, price_of

YEARLY = PriceTerms(interval="year", amount=5000, currency="USD")


def assert_nothing_happened(tiers, prices):
    assert (Tier.objects.count(), TierPrice.objects.count()) == (tiers, prices)
    assert published() == []


def test_a_new_tier_is_told_with_its_prices(creator):
    tier = create_tier(
        creator_id=creator.id,
        name="Backstage",
        description="Behind the curtain",
        benefits=["Weekly letter"],
        prices=[monthly(), YEARLY],
        rank=2,
        max_subscribers=50,
    )

    [event] = published(TierCreated)
    assert (event.tier_id, event.creator_id, event.sequence) == (tier.id, creator.id, 1)
    assert (event.name, event.description, event.benefits) == ("Backstage", "Behind the curtain", ("Weekly letter",))
    assert (event.rank, event.max_subscribers, event.status) == (2, 50, TierStatus.ACTIVE)
    assert [(price.interval, price.amount, price.active) for price in event.prices] == [
        (Interval.MONTH, 500, True),
        (Interval.YEAR, 5000, True),
    ]
    assert event.created_at == tier.created_at


@pytest.mark.parametrize("name", ["Backstage", "BACKSTAGE"])
def test_one_active_tier_of_a_name(tier, creator, name):
    with pytest.raises(TierNameTakenError):
        make_tier(creator, name=name)
    assert_nothing_happened(1, 1)


def test_two_creators_may_use_one_name(tier):
    assert make_tier(make_creator(), name="Backstage").name == "Backstage"


@pytest.mark.parametrize(
    ("terms", "error"),
    [
        ([monthly(1)], PriceOutOfRangeError),
        ([monthly(10**12)], PriceOutOfRangeError),
        ([monthly(500, "XXX")], CurrencyNotSupportedError),
        ([monthly(0), YEARLY], FreeAndPaidPricesError),
        ([monthly(500), monthly(600)], PriceExistsError),
    ],
)
def test_prices_that_cannot_be_offered(creator, terms, error):
    with pytest.raises(error):
        make_tier(creator, *terms)
    assert_nothing_happened(0, 0)


def test_ten_active_tiers_and_no_more(creator):
    tiers = [make_tier(creator) for _ in range(10)]
    forget_events()
    with pytest.raises(TooManyTiersError):
        make_tier(creator)
    assert_nothing_happened(10, 10)

    archive_tier(tier_id=tiers[0].id)
    make_tier(creator)
    forget_events()
    with pytest.raises(TooManyTiersError):
        restore_tier(tier_id=tiers[0].id)
    assert_nothing_happened(11, 11)


def test_an_update_tells_what_changed(tier):
    updated = update_tier(tier_id=tier.id, version=1, changes={"name": "Front row", "rank": 0, "benefits": ["Hello"]})

    assert (updated.name, updated.version, updated.sequence) == ("Front row", 2, 2)
    [event] = published(TierUpdated)
    assert event.changed_fields == ("benefits", "name")
    assert (event.name, event.sequence, event.previous_status) == ("Front row", 2, None)


def test_an_update_that_changes_nothing_tells_nothing(tier):
    assert update_tier(tier_id=tier.id, version=1, changes={"name": "Backstage"}).version == 1
    assert_nothing_happened(1, 1)


def test_an_update_of_a_version_that_is_gone_is_refused(tier):
    update_tier(tier_id=tier.id, version=1, changes={"rank": 3})
    forget_events()
    with pytest.raises(VersionConflictError):
        update_tier(tier_id=tier.id, version=1, changes={"rank": 4})
    tier.refresh_from_db()
    assert tier.rank == 3
    assert_nothing_happened(1, 1)


def test_only_what_is_meant_to_change_can(tier):
    with pytest.raises(ValueError, match="creator_id"):
        update_tier(tier_id=tier.id, version=1, changes={"creator_id": make_creator().id})
    assert_nothing_happened(1, 1)


def test_a_price_is_added(tier):
    price = add_price(tier_id=tier.id, terms=YEARLY)

    [event] = published(TierUpdated)
    assert event.changed_fields == ("prices",)
    assert [found.price_id for found in event.prices] == [price_of_month(tier).id, price.id]


def price_of_month(tier):
    return tier.prices.get(interval="month")


@pytest.mark.parametrize(
    ("terms", "error"), [(monthly(900), PriceExistsError), (monthly(0, "EUR"), FreeAndPaidPricesError)]
)
def test_a_price_that_does_not_fit_is_refused(tier, terms, error):
    with pytest.raises(error):
        add_price(tier_id=tier.id, terms=terms)
    assert_nothing_happened(1, 1)


def test_a_price_is_changed_by_withdrawing_it_and_offering_another(tier):
    old = price_of(tier)
    deactivate_price(tier_id=tier.id, price_id=old.id)
    new = add_price(tier_id=tier.id, terms=monthly(700))

    event = published(TierUpdated)[1]
    assert [(price.price_id, price.active) for price in event.prices] == [(old.id, False), (new.id, True)]
    assert event.sequence == 3


def test_a_withdrawn_price_cannot_be_withdrawn_again(tier):
    price = price_of(tier)
    deactivate_price(tier_id=tier.id, price_id=price.id)
    forget_events()
    with pytest.raises(PriceInactiveError):
        deactivate_price(tier_id=tier.id, price_id=price.id)
    assert_nothing_happened(1, 1)


def test_archiving_and_restoring(tier):
    archived = archive_tier(tier_id=tier.id)
    assert archived.archived_at is not None
    restored = restore_tier(tier_id=tier.id)
    assert restored.archived_at is None

    first, second = published(TierUpdated)
    assert (first.status, first.previous_status) == (TierStatus.ARCHIVED, TierStatus.ACTIVE)
    assert first.archived_at == archived.archived_at
    assert (second.status, second.previous_status) == (TierStatus.ACTIVE, TierStatus.ARCHIVED)


def test_an_archived_tier_is_not_changed(tier):
    archive_tier(tier_id=tier.id)
    forget_events()
    with pytest.raises(TierArchivedError):
        archive_tier(tier_id=tier.id)
    with pytest.raises(TierArchivedError):
        update_tier(tier_id=tier.id, version=2, changes={"rank": 1})
    with pytest.raises(TierArchivedError):
        add_price(tier_id=tier.id, terms=YEARLY)
    assert_nothing_happened(1, 1)


def test_restoring_is_for_archived_tiers_whose_name_is_free(tier, creator):
    with pytest.raises(TierNotArchivedError):
        restore_tier(tier_id=tier.id)
    archive_tier(tier_id=tier.id)
    make_tier(creator, name="backstage")
    forget_events()
    with pytest.raises(TierNameTakenError):
        restore_tier(tier_id=tier.id)
    tier.refresh_from_db()
    assert tier.status == Tier.Status.ARCHIVED
    assert_nothing_happened(2, 2)
