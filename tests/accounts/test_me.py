import pytest

from accounts.models import CreatorProfile, User
from tests.accounts.factories import PASSWORD, make_creator

ME, PROFILE, PASSWORD_URL = "/api/v1/me", "/api/v1/me/creator-profile", "/api/v1/me/password"


def test_a_stranger_is_nobody(client, db):
    response = client.get(ME)

    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")


def test_a_user_changes_their_name_and_nothing_else(signed_in, user):
    me = signed_in(user)

    assert me.patch(ME, {"display_name": " Ame\u0301lie "}).json()["display_name"] == "Amélie"
    refused = me.patch(ME, {"display_name": "X", "email": "other@example.org", "is_staff": True})

    assert refused.status_code == 400
    assert refused.json()["errors"] == {"email": ["unknown field"], "is_staff": ["unknown field"]}
    user.refresh_from_db()
    assert (user.display_name, user.email, user.is_staff) == ("Amélie", "fan@example.org", False)


def test_me_costs_two_queries(signed_in, creator, django_assert_num_queries):
    me = signed_in(creator)

    with django_assert_num_queries(2):  # who the bearer is; the user with their profile
        assert me.get(ME).json()["creator_profile"]["handle"] == "maker"


def test_a_user_becomes_a_creator(signed_in, user):
    response = signed_in(user).post(PROFILE, {"handle": "The_Maker", "bio": "One.\nTwo.", "default_currency": "EUR"})

    profile = CreatorProfile.objects.get()
    assert response.status_code == 201
    assert response.json() == {
        "handle": "the_maker",
        "bio": "One.\nTwo.",
        "country": None,
        "default_currency": "EUR",
        "grace_days": 7,
        "created_at": profile.created_at.isoformat().replace("+00:00", "Z"),
    }
    assert profile.pk == user.pk
    assert User.objects.get(pk=user.pk).is_creator


def test_nobody_becomes_a_creator_twice(signed_in, creator):
    response = signed_in(creator).post(PROFILE, {"handle": "second"})

    assert (response.status_code, response.json()["code"]) == (409, "already_creator")
    assert [p.handle for p in CreatorProfile.objects.all()] == ["maker"]


@pytest.mark.parametrize("handle", ["maker", "MAKER", "admin", "api"])
def test_a_handle_belongs_to_one_creator_and_the_platforms_to_none(signed_in, creator, user, handle):
    response = signed_in(user).post(PROFILE, {"handle": handle})

    assert (response.status_code, response.json()["code"]) == (409, "handle_taken")
    assert CreatorProfile.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("handle", "ab"),
        ("handle", "with space"),
        ("handle", "\u0430dmin"),  # a Cyrillic letter that looks like an a
        ("handle", "maker\n"),
        ("grace_days", 22),
        ("grace_days", -1),
        ("grace_days", "7"),
        ("grace_days", True),
        ("country", "de"),
        ("default_currency", "usd"),
        ("bio", "a" * 2001),
        ("user_id", "0192e4a0-0000-7000-8000-000000000000"),
    ],
)
def test_a_bad_profile_is_refused_at_making_and_at_changing(signed_in, user, creator, field, value):
    made = signed_in(user).post(PROFILE, {"handle": "fresh", field: value})
    changed = signed_in(creator).patch(PROFILE, {field: value})

    assert [(r.status_code, set(r.json()["errors"])) for r in (made, changed)] == [(400, {field})] * 2
    profile = CreatorProfile.objects.get()
    assert (profile.handle, profile.grace_days, profile.default_currency, profile.bio) == ("maker", 7, "USD", "")


def test_a_currency_nobody_handles_is_refused(signed_in, user, creator):
    made = signed_in(user).post(PROFILE, {"handle": "fresh", "default_currency": "XXX"})
    changed = signed_in(creator).patch(PROFILE, {"default_currency": "XXX"})

    assert [(r.status_code, r.json()["code"]) for r in (made, changed)] == [(422, "currency_not_supported")] * 2
    assert CreatorProfile.objects.get().default_currency == "USD"


def test_a_creator_changes_only_what_they_name(signed_in, creator):
    response = signed_in(creator).patch(PROFILE, {"grace_days": 0, "country": "DE"})

    assert response.json()["grace_days"] == 0
    profile = CreatorProfile.objects.get()
    assert (profile.handle, profile.grace_days, profile.country) == ("maker", 0, "DE")


def test_a_fan_has_no_profile_to_change(signed_in, user):
    response = signed_in(user).patch(PROFILE, {"bio": "x"})

    assert (response.status_code, response.json()["code"]) == (403, "permission_denied")


def test_a_handle_may_be_changed_to_a_free_one_only(signed_in, creator):
    make_creator(handle="other")

    assert signed_in(creator).patch(PROFILE, {"handle": "other"}).json()["code"] == "handle_taken"
    assert signed_in(creator).patch(PROFILE, {"handle": "free"}).json()["handle"] == "free"


def test_a_password_is_changed_with_the_present_one(signed_in, user):
    me = signed_in(user)

    refused = me.put(PASSWORD_URL, {"present": "wrong", "new": "another long sentence"})
    weak = me.put(PASSWORD_URL, {"present": PASSWORD, "new": "12345"})
    user.refresh_from_db()
    assert (refused.json()["code"], weak.json()["code"]) == ("wrong_password", "validation_error")
    assert user.check_password(PASSWORD)

    assert me.put(PASSWORD_URL, {"present": PASSWORD, "new": "another long sentence"}).status_code == 204
    user.refresh_from_db()
    assert user.check_password("another long sentence")
    assert me.get(ME).status_code == 401
