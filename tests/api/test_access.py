import pytest

from accounts.models import Role
from accounts.services import become_creator, grant_role, suspend_user

pytestmark = [pytest.mark.urls("tests.api.probe"), pytest.mark.django_db]

PROBE = "/api/v1/probe/"


def test_each_role_opens_its_own_door_only(me, user):
    doors = ["creators-only", "moderators-only", "finance-only"]
    assert [me.get(PROBE + door).status_code for door in doors] == [403, 403, 403]

    become_creator(user_id=user.pk, handle="maker")
    user.refresh_from_db()
    assert [me.get(PROBE + door).status_code for door in doors] == [200, 403, 403]

    grant_role(user_id=user.pk, role=Role.MODERATOR)
    assert [me.get(PROBE + door).status_code for door in doors] == [200, 200, 403]

    grant_role(user_id=user.pk, role=Role.STAFF_FINANCE)
    assert [me.get(PROBE + door).status_code for door in doors] == [200, 200, 200]


@pytest.mark.parametrize("door", ["creators-only", "moderators-only", "finance-only", "kept"])
def test_a_stranger_is_asked_who_they_are(client, door):
    method = client.post if door == "kept" else client.get
    response = method(PROBE + door)

    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")


@pytest.mark.parametrize("door", ["plain", "creators-only", "moderators-only", "finance-only", "list"])
def test_a_suspended_user_is_turned_away_everywhere(client, user, door):
    client.force_authenticate(suspend_user(user_id=user.pk))

    response = client.get(PROBE + door)

    assert (response.status_code, response.json()["code"]) == (403, "account_suspended")


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        (None, 428, "version_required"),
        ("3", 400, "version_malformed"),
        ('W/"3"', 400, "version_malformed"),
        ("*", 400, "version_malformed"),
        ('"3", "4"', 400, "version_malformed"),
        ('"-1"', 400, "version_malformed"),
        ('"2"', 412, "version_conflict"),
        ('"4"', 412, "version_conflict"),
    ],
)
def test_a_change_needs_the_version_it_was_made_from(me, header, status, code):
    headers = {} if header is None else {"HTTP_IF_MATCH": header}

    response = me.patch(f"{PROBE}versioned", {}, **headers)

    assert (response.status_code, response.json()["code"]) == (status, code)


def test_a_change_of_the_version_seen_gives_the_next(me):
    response = me.patch(f"{PROBE}versioned", {}, HTTP_IF_MATCH='"3"')

    assert (response.status_code, response["ETag"]) == (200, '"4"')
