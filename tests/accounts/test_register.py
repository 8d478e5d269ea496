import pytest
from django.db import IntegrityError, transaction

from accounts.exceptions import EmailTakenError
from accounts.models import User
from accounts.services import register
from tests.accounts.factories import PASSWORD, make_user

NEW = {"email": "New@Example.org", "password": PASSWORD, "display_name": "Zoë"}
URL = "/api/v1/auth/register"


@pytest.mark.django_db
def test_somebody_new_gets_an_account_and_no_more(client):
    response = client.post(URL, NEW)

    user = User.objects.get()
    assert response.status_code == 201
    assert response.json() == {
        "id": str(user.id),
        "email": "new@example.org",
        "display_name": "Zoë",
        "is_creator": False,
        "creator_profile": None,
        "created_at": user.created_at.isoformat().replace("+00:00", "Z"),
    }
    assert user.check_password(PASSWORD)
    assert (user.is_staff, user.is_superuser, user.is_active) == (False, False, True)


@pytest.mark.django_db
def test_an_address_has_one_account_however_it_is_capitalised(client):
    client.post(URL, NEW)

    response = client.post(URL, {**NEW, "email": "NEW@EXAMPLE.ORG"})

    assert (response.status_code, response.json()["code"]) == (409, "email_taken")
    assert User.objects.count() == 1


@pytest.mark.django_db
def test_the_database_itself_refuses_a_second_spelling():
    make_user(email="one@example.org")

    with pytest.raises(IntegrityError, match="email_stored_in_lower_case"), transaction.atomic():
        User.objects.bulk_create([User(email="ONE@example.org", display_name="One")])
    assert User.objects.count() == 1


@pytest.mark.django_db
def test_a_taken_address_leaves_the_callers_transaction_usable():
    make_user(email="one@example.org")

    with transaction.atomic():
        with pytest.raises(EmailTakenError):
            register(email="one@example.org", password=PASSWORD, display_name="Two")
        assert User.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "not an address"),
        ("email", "post@пример.рф"),
        ("email", 7),
        ("password", "short"),
        ("password", "password123"),
        ("password", "918273645546"),
        ("password", "new@example.org"),
        ("password", 1234567890123),
        ("display_name", " "),
        ("display_name", "a" * 51),
        ("display_name", "gpj.\u202eexe"),
        ("display_name", "two\nlines"),
        ("is_staff", True),
        ("id", "0192e4a0-0000-7000-8000-000000000000"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_made(client, field, value):
    response = client.post(URL, {**NEW, field: value})

    assert response.status_code == 400
    assert response.json()["code"] == "validation_error"
    assert set(response.json()["errors"]) == {field}
    assert not User.objects.exists()


@pytest.mark.django_db
def test_registrations_from_one_address_are_limited(client):
    statuses = [client.post(URL, {**NEW, "email": f"n{number}@example.org"}).status_code for number in range(6)]

    assert sorted(statuses) == [201, 201, 201, 201, 201, 429]
    assert User.objects.count() == 5
