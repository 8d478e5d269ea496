"""The few forms there are: they keep what the services keep, and show no secret."""

import pytest
from django.contrib.auth.models import Group
from django.test import override_settings
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken

from accounts.models import CreatorProfile, Role
from tests.accounts.factories import make_creator, make_user
from tests.payments.factories import make_method, make_tip

PROFILE = {"bio": "", "country": "at", "default_currency": "EUR", "grace_days": "5"}


@pytest.fixture
def creator(db):
    return make_creator(handle="painter")


def test_a_profile_is_made_and_changed(office):
    user = make_user()
    office.post("/admin/accounts/creatorprofile/add/", {**PROFILE, "user": str(user.pk), "handle": "Singer"})
    profile = CreatorProfile.objects.get(pk=user.pk)
    assert (profile.handle, profile.country, profile.default_currency) == ("singer", "AT", "EUR")

    changed = {**PROFILE, "handle": "singer", "grace_days": "9"}
    answer = office.post(f"/admin/accounts/creatorprofile/{user.pk}/change/", changed)
    profile.refresh_from_db()
    assert (answer.status_code, profile.grace_days) == (302, 9)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"handle": "admin"}, "handle"),
        ({"handle": "taken"}, "handle"),
        ({"handle": "painter", "default_currency": "XXX"}, "default_currency"),
        ({"handle": "painter", "grace_days": "22"}, "grace_days"),
    ],
)
def test_a_profile_that_breaks_a_rule_is_refused(office, creator, fields, wrong):
    make_creator(handle="taken")

    answer = office.post(f"/admin/accounts/creatorprofile/{creator.pk}/change/", {**PROFILE, **fields})

    assert list(answer.context["adminform"].form.errors) == [wrong]
    profile = CreatorProfile.objects.get(pk=creator.pk)
    assert (profile.handle, profile.default_currency, profile.grace_days) == ("painter", "USD", 7)


def test_a_profile_does_not_change_hands(office, creator):
    other = make_user()

    office.post(
        f"/admin/accounts/creatorprofile/{creator.pk}/change/", {**PROFILE, "handle": "painter", "user": other.pk}
    )

    assert CreatorProfile.objects.get().pk == creator.pk


def test_a_role_keeps_its_name_and_stays(office):
    role = Group.objects.get(name=Role.MODERATOR)

    office.post(f"/admin/auth/group/{role.pk}/change/", {"name": "renamed"})
    deleted = office.post(f"/admin/auth/group/{role.pk}/delete/", {"post": "yes"})

    assert Group.objects.get(pk=role.pk).name == Role.MODERATOR
    assert deleted.status_code == 403


def test_nobody_reads_a_token_that_can_be_used(office, creator):
    token = str(RefreshToken.for_user(creator))
    row = OutstandingToken.objects.get()

    pages = [
        office.get(address).content.decode()
        for address in (
            "/admin/token_blacklist/outstandingtoken/",
            f"/admin/token_blacklist/outstandingtoken/{row.pk}/change/",
        )
    ]

    assert [row.jti in page for page in pages] == [True, True]
    assert [token in page for page in pages] == [False, False]


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [(1299, "USD", "12.99 USD"), (1299, "JPY", "1299 JPY"), (99_999_999, "KWD", "99999.999 KWD")],
)
def test_money_ids_and_times_are_shown_as_people_read_them(office, creator, amount, currency, shown):
    fan = make_user()
    tip = make_tip(fan, creator, make_method(fan.pk), amount=amount, currency=currency)

    page = office.get("/admin/payments/paymentorder/").content.decode()

    assert shown in page
    assert f'href="/admin/accounts/user/{fan.pk}/change/"' in page
    assert f"{tip.order.created_at:%H:%M:%S}" in page


@override_settings(DEBUG=False)
def test_the_pages_for_what_is_missing_say_nothing_of_the_inside(office, client):
    for address in ("/admin/nothing/here/", "/nothing"):
        answer = client.get(address)
        assert answer.status_code == 404
        assert b"Traceback" not in answer.content
    assert client.get("/api/v1/nothing")["Content-Type"] == "application/problem+json"
