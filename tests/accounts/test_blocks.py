"""Users keep away from one another: in both directions at once, and told to nobody."""

from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.exceptions import UserNotFoundError
from accounts.models import Block
from accounts.selectors import blocked_with, blocks_of, is_blocked_between
from accounts.services import block_user, unblock_user
from tests.accounts.factories import make_user
from tests.races import at_once

BLOCKS = "/api/v1/me/blocks"


def block_of(user):
    return f"{BLOCKS}/{user.pk}"


@pytest.fixture
def other(db):
    return make_user(display_name="Other")


def test_a_user_blocks_another_once_and_takes_it_back_once(signed_in, user, other):
    me = signed_in(user)

    first, second = me.put(block_of(other)), me.put(block_of(other))

    block = Block.objects.get()
    assert (block.blocker_id, block.blocked_id) == (user.pk, other.pk)
    assert [response.status_code for response in (first, second)] == [200, 200]
    assert first.json() == second.json()
    assert first.json() == {
        "user_id": str(other.pk),
        "display_name": "Other",
        "created_at": block.created_at.isoformat().replace("+00:00", "Z"),
    }

    gone, none_there = me.delete(block_of(other)), me.delete(block_of(other))
    assert [(response.status_code, response.content) for response in (gone, none_there)] == [(204, b"")] * 2
    assert not Block.objects.exists()


def test_a_list_of_blocks_is_of_ones_own_newest_first_and_says_nothing_of_who_blocks_me(signed_in, user, other):
    third = make_user(display_name="Third")
    for blocked in (other, third):
        block_user(blocker_id=user.pk, blocked_id=blocked.pk)
    block_user(blocker_id=make_user().pk, blocked_id=user.pk)
    block_user(blocker_id=third.pk, blocked_id=other.pk)
    me = signed_in(user)

    page = me.get(BLOCKS, {"page_size": 1}).json()
    rest = me.get(page["next"]).json()

    assert [row["display_name"] for row in page["results"] + rest["results"]] == ["Third", "Other"]
    assert (page["previous"], rest["next"]) == (None, None)
    assert signed_in(other).get(BLOCKS).json()["results"] == []


def test_a_list_of_blocks_costs_two_queries_however_long_it_is(signed_in, user, django_assert_num_queries):
    for _ in range(3):
        block_user(blocker_id=user.pk, blocked_id=make_user().pk)
    me = signed_in(user)

    with django_assert_num_queries(2):  # who the bearer is; the blocks with their names
        assert len(me.get(BLOCKS).json()["results"]) == 3


def test_nobody_blocks_themselves(signed_in, user):
    response = signed_in(user).put(block_of(user))

    assert (response.status_code, response.json()["code"]) == (422, "self_block")
    assert not Block.objects.exists()
    with pytest.raises(IntegrityError, match="nobody_blocks_themselves"), transaction.atomic():
        Block.objects.create(blocker=user, blocked=user)


def test_nobody_blocks_a_user_who_is_not_there(signed_in, user):
    response = signed_in(user).put(f"{BLOCKS}/{uuid4()}")

    assert (response.status_code, response.json()["code"], response.json()["title"]) == (404, "not_found", "Not Found")
    with pytest.raises(UserNotFoundError):
        block_user(blocker_id=user.pk, blocked_id=uuid4())
    assert not Block.objects.exists()


def test_a_block_counts_in_both_directions_and_for_no_third(user, other):
    third = make_user()
    block_user(blocker_id=user.pk, blocked_id=other.pk)

    pairs = [(user, other), (other, user), (user, third), (third, other)]
    assert [is_blocked_between(one.pk, another.pk) for one, another in pairs] == [True, True, False, False]
    assert [list(blocked_with(each.pk)) for each in (user, other, third)] == [[other.pk], [user.pk], []]


def test_each_of_two_takes_back_only_their_own_block(user, other):
    block_user(blocker_id=user.pk, blocked_id=other.pk)
    block_user(blocker_id=other.pk, blocked_id=user.pk)
    assert list(blocked_with(user.pk)) == [other.pk]

    unblock_user(blocker_id=user.pk, blocked_id=other.pk)

    assert is_blocked_between(user.pk, other.pk)
    assert [(block.blocker_id, block.blocked_id) for block in Block.objects.all()] == [(other.pk, user.pk)]


def test_whom_a_user_is_blocked_with_narrows_another_query(user, other, django_assert_num_queries):
    third = make_user()
    block_user(blocker_id=user.pk, blocked_id=other.pk)
    block_user(blocker_id=third.pk, blocked_id=user.pk)
    everybody = type(user).objects.order_by("pk")

    with django_assert_num_queries(2):
        assert list(everybody.filter(pk__in=blocked_with(user.pk))) == [other, third]
        assert list(everybody.exclude(pk__in=blocked_with(user.pk))) == [user]


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        (blocked_with, "blocks_that_a_user_met"),
        (lambda user_id: blocks_of(user_id).order_by("-created_at", "-id")[:21], "blocks_of_a_user_newest_first"),
    ],
    ids=["with whom", "the list"],
)
def test_what_is_asked_of_a_users_blocks_is_found_by_an_index(user, asked, index):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")

    assert index in asked(user.pk).explain()


@pytest.mark.django_db(transaction=True)
def test_two_blocks_of_the_same_user_at_once_are_one(user, other):
    def block():
        return block_user(blocker_id=user.pk, blocked_id=other.pk)

    assert at_once(block, block) == [Block.objects.get()] * 2
