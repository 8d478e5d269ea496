import pytest
from django.test import Client

from accounts.models import User
from accounts.services import suspend_user
from tests.accounts.factories import PASSWORD, make_user


@pytest.fixture
def staff(db):
    return make_user(email="staff@example.org", is_staff=True, is_superuser=True)


@pytest.fixture
def admin(staff):
    client = Client()
    client.force_login(staff)
    return client


@pytest.mark.parametrize(
    "page", ["accounts/user/", "accounts/user/add/", "accounts/creatorprofile/", "api/idempotencyrecord/"]
)
def test_the_pages_open(admin, creator, page):
    assert admin.get(f"/admin/{page}").status_code == 200


def test_a_users_page_opens_and_shows_the_profile(admin, creator):
    response = admin.get(f"/admin/accounts/user/{creator.pk}/change/")

    assert response.status_code == 200
    assert b"maker" in response.content


def test_staff_make_users_whose_address_is_stored_in_lower_case(admin):
    response = admin.post(
        "/admin/accounts/user/add/",
        {
            "email": "New@Example.org",
            "display_name": "New",
            "usable_password": "true",
            "password1": PASSWORD,
            "password2": PASSWORD,
            "creator_profile-TOTAL_FORMS": "0",
            "creator_profile-INITIAL_FORMS": "0",
        },
    )

    assert response.status_code == 302
    assert User.objects.get(email="new@example.org").check_password(PASSWORD)


def test_the_actions_suspend_and_reinstate_others_but_never_oneself(admin, staff, user):
    chosen = {"_selected_action": [str(staff.pk), str(user.pk)]}

    admin.post("/admin/accounts/user/", {"action": "suspend", "confirmed": "yes", "reason": "Spam", **chosen})
    assert dict(User.objects.values_list("email", "is_suspended")) == {
        "staff@example.org": False,
        "fan@example.org": True,
    }
    assert User.objects.get(pk=user.pk).suspension_reason == "Spam"

    admin.post("/admin/accounts/user/", {"action": "reinstate", **chosen})
    assert not User.objects.filter(is_suspended=True).exists()


def test_suspended_staff_are_kept_out(admin, staff):
    suspend_user(user_id=staff.pk)

    response = admin.get("/admin/accounts/user/")

    assert (response.status_code, response["Location"]) == (302, "/admin/login/?next=/admin/accounts/user/")


def test_records_of_keys_can_only_be_looked_at(admin):
    assert admin.get("/admin/api/idempotencyrecord/add/").status_code == 403
