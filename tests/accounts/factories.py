"""People for tests."""

from itertools import count

from accounts.models import CreatorProfile, User

PASSWORD = "correct horse battery"
_numbers = count(1)


def make_user(**fields):
    number = next(_numbers)
    defaults = {"email": f"person{number}@example.org", "display_name": f"Person {number}"}
    return User.objects.create_user(password=PASSWORD, **{**defaults, **fields})


def make_creator(**fields):
    handle = fields.pop("handle", None) or f"creator{next(_numbers)}"
    user = make_user()
    CreatorProfile.objects.create(user=user, handle=handle, **fields)
    return user
