from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction

from accounts import selectors, services
from accounts.models import CreatorProfile, Role, User
from tests.accounts.factories import make_creator, make_user

URL = "/api/v1/creators/"


def test_anyone_sees_a_creator_by_handle_or_id_and_nothing_private(client, creator):
    by_handle, by_id = client.get(f"{URL}Maker"), client.get(f"{URL}{creator.pk}")

    assert by_handle.json() == by_id.json()
    assert by_handle.json() == {
        "id": str(creator.pk),
        "handle": "maker",
        "display_name": creator.display_name,
        "bio": "",
        "default_currency": "USD",
        "created_at": creator.creator_profile.created_at.isoformat().replace("+00:00", "Z"),
    }


def test_missing_suspended_and_mere_users_are_answered_alike(client, creator, user):
    services.suspend_user(user_id=creator.pk)

    names = ("nobody", "maker", str(creator.pk), str(user.pk), str(uuid4()))
    bodies = [client.get(URL + name).json() for name in names]

    not_found = {"title": "Not Found", "status": 404, "code": "not_found", "detail": "Not Found"}
    for body in bodies:
        assert body.pop("trace_id")
        assert body == {"type": "urn:problem:not_found", **not_found}


def test_what_the_rooms_may_ask(creator, user):
    closed = make_user(is_active=False)
    assert [selectors.is_creator(each.pk) for each in (creator, user)] == [True, False]
    assert [selectors.is_active(each.pk) for each in (creator, user, closed)] == [True, True, False]
    assert selectors.is_active(uuid4()) is False

    services.update_creator_profile(user_id=creator.pk, changes={"grace_days": 21})
    assert [selectors.grace_days_of(each.pk) for each in (creator, user)] == [21, 7]

    services.suspend_user(user_id=creator.pk)
    assert (selectors.is_creator(creator.pk), selectors.is_active(creator.pk)) == (False, False)
    services.reinstate_user(user_id=creator.pk)
    assert (selectors.is_creator(creator.pk), selectors.is_active(creator.pk)) == (True, True)


def test_names_are_read_in_one_query(creator, user, django_assert_num_queries):
    with django_assert_num_queries(1):
        names = selectors.display_names([creator.pk, user.pk, user.pk, uuid4()])

    assert names == {creator.pk: creator.display_name, user.pk: "Fan"}


def test_a_suspension_keeps_its_first_reason_and_time(user):
    first = services.suspend_user(user_id=user.pk, reason="spam")
    second = services.suspend_user(user_id=user.pk, reason="other")

    assert (second.suspended_at, second.suspension_reason) == (first.suspended_at, "spam")
    reinstated = services.reinstate_user(user_id=user.pk)
    assert (reinstated.is_suspended, reinstated.suspended_at, reinstated.suspension_reason) == (False, None, "")


def test_roles_come_and_go_and_rest_while_suspended(user):
    services.grant_role(user_id=user.pk, role=Role.MODERATOR)
    assert [user.has_role(role) for role in Role] == [True, False]

    suspended = services.suspend_user(user_id=user.pk)
    assert not suspended.has_role(Role.MODERATOR)

    services.reinstate_user(user_id=user.pk)
    services.revoke_role(user_id=user.pk, role=Role.MODERATOR)
    assert not User.objects.get(pk=user.pk).has_role(Role.MODERATOR)


@pytest.mark.django_db
def test_the_roles_groups_are_there_from_the_first_day():
    assert set(Group.objects.values_list("name", flat=True)) >= {"moderator", "staff_finance"}


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"handle": "Upper"}, "handle_has_its_form"),
        ({"handle": "maker"}, "accounts_creatorprofile_handle_key"),
        ({"handle": "fine", "grace_days": 22}, "grace_at_most_21_days"),
        ({"handle": "fine", "country": "d1"}, "country_is_two_letters"),
        ({"handle": "fine", "default_currency": "usd"}, "default_currency_is_three_letters"),
    ],
)
def test_the_database_holds_the_rules_of_a_profile(creator, user, fields, constraint):
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        CreatorProfile.objects.create(user=user, **fields)
    assert CreatorProfile.objects.count() == 1


def test_a_broken_rule_that_is_not_about_uniqueness_is_not_called_a_taken_handle(user):
    with pytest.raises(IntegrityError, match="handle_has_its_form"), transaction.atomic():
        services.become_creator(user_id=user.pk, handle="No Such Form")
    assert not CreatorProfile.objects.exists()


def test_only_what_is_meant_to_change_can_be_changed(user):
    with pytest.raises(ValueError, match="Not to be changed here: is_staff"):
        services.update_user(user_id=user.pk, changes={"is_staff": True})
    assert not User.objects.get(pk=user.pk).is_staff


def test_a_creator_is_never_confused_with_a_handle_that_looks_like_an_id(client, db):
    creator = make_creator(handle="abcdef0123456789abcdef01234567")

    assert client.get(f"{URL}{creator.creator_profile.handle}").json()["id"] == str(creator.pk)
