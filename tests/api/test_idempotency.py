from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from uuid import uuid4

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from api.models import IdempotencyRecord
from api.tasks import prune_idempotency_records
from tests.accounts.factories import make_user

pytestmark = [pytest.mark.urls("tests.api.probe"), pytest.mark.django_db]

URL = "/api/v1/probe/kept"
KEY = "0123456789abcdef"


def post(client, data, key=KEY, url=URL):
    return client.post(url, data, HTTP_IDEMPOTENCY_KEY=key)


def made():
    return set(Group.objects.exclude(name__in=["moderator", "staff_finance"]).values_list("name", flat=True))


def test_without_a_key_nothing_happens(me):
    response = me.post(URL, {"name": "one"})

    assert (response.status_code, response.json()["code"]) == (400, "idempotency_key_required")
    assert made() == set()


@pytest.mark.parametrize("key", ["", "short", "a" * 65, "0123456789abcde!", "0123456789 abcdef", "0123456789abcdeé"])
def test_a_key_has_its_form(me, key):
    response = me.post(URL, {"name": "one"}, headers={"Idempotency-Key": key.encode("latin-1").decode("latin-1")})

    assert (response.status_code, response.json()["code"]) == (400, "idempotency_key_malformed")
    assert made() == set()


def test_the_same_request_again_gets_the_same_answer_and_does_nothing(me):
    first, second = post(me, {"name": "one"}), post(me, {"name": "one"})

    assert (first.status_code, second.status_code) == (201, 201)
    assert second.content == first.content
    assert (first.get("Idempotent-Replayed"), second["Idempotent-Replayed"]) == (None, "true")
    assert (second["ETag"], second.get("X-Other")) == ('"1"', None)
    assert made() == {"one"}


def test_the_order_of_names_in_a_body_makes_no_other_request(me):
    post(me, {"name": "one", "status": 200})

    assert post(me, {"status": 200, "name": "one"})["Idempotent-Replayed"] == "true"


def test_another_body_under_the_same_key_is_refused(me):
    post(me, {"name": "one"})

    response = post(me, {"name": "two"})

    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")
    assert made() == {"one"}


def test_another_object_of_the_same_route_under_the_same_key_is_refused(me):
    post(me, {}, url=f"{URL}/one")

    response = post(me, {}, url=f"{URL}/two")

    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")
    assert made() == {"one"}


def test_a_key_is_of_one_user_and_one_endpoint(me):
    other = APIClient()
    other.force_authenticate(make_user())
    post(me, {"name": "one"})

    assert post(other, {"name": "two"}).status_code == 201
    assert me.delete(URL, HTTP_IDEMPOTENCY_KEY=KEY).status_code == 204
    assert made() == {"one", "two"}


def test_a_refusal_undoes_the_work_and_leaves_the_key_free(me):
    refused = post(me, {"name": "one", "refuse": True})

    assert refused.status_code == 418
    assert made() == set()
    assert not IdempotencyRecord.objects.exists()
    assert post(me, {"name": "one"}).status_code == 201


def test_an_unforeseen_failure_leaves_the_key_free(me):
    Group.objects.create(name="taken")

    assert post(me, {"name": "taken"}).status_code == 500
    assert not IdempotencyRecord.objects.exists()


def test_an_answer_that_is_returned_is_kept_whatever_its_status(me):
    first, second = (post(me, {"name": "one", "status": 402}) for _ in range(2))

    assert (first.status_code, second.status_code) == (402, 402)
    assert second["Idempotent-Replayed"] == "true"
    assert made() == {"one"}


def test_an_empty_answer_is_replayed_empty(me):
    first, second = (me.delete(URL, HTTP_IDEMPOTENCY_KEY=KEY) for _ in range(2))

    assert (first.status_code, second.status_code, second.content) == (204, 204, b"")
    assert second["Idempotent-Replayed"] == "true"


def running(user, *, locked_for):
    """The record of a first request whose process is still at it, or has died at it."""
    client = APIClient()
    client.force_authenticate(user)
    post(client, {"name": "one"})
    Group.objects.filter(name="one").delete()
    IdempotencyRecord.objects.update(
        state="running", response_status=None, response_body="", locked_until=timezone.now() + locked_for
    )


def test_while_the_first_runs_the_second_is_told_to_wait(me, user):
    running(user, locked_for=timedelta(seconds=30))

    response = post(me, {"name": "one"})

    assert (response.status_code, response.json()["code"]) == (409, "idempotency_in_progress")
    assert 28 <= int(response["Retry-After"]) <= 30
    assert made() == set()


def test_a_dead_first_is_taken_over_once_its_lock_is_over(me, user):
    running(user, locked_for=timedelta(seconds=-1))

    assert post(me, {"name": "one"}).status_code == 201
    assert post(me, {"name": "one"})["Idempotent-Replayed"] == "true"
    assert made() == {"one"}


def test_a_dead_first_is_taken_over_only_by_the_same_request(me, user):
    running(user, locked_for=timedelta(seconds=-1))

    assert post(me, {"name": "two"}).json()["code"] == "idempotency_key_reused"
    assert made() == set()


def test_work_whose_lock_was_taken_over_is_rolled_back(me, user, monkeypatch):
    create = Group.objects.create

    def slow_create(**fields):
        IdempotencyRecord.objects.update(locked_until=timezone.now() + timedelta(seconds=50))
        return create(**fields)

    monkeypatch.setattr(Group.objects, "create", slow_create)

    assert post(me, {"name": "one"}).json()["code"] == "idempotency_in_progress"
    assert made() == set()


def test_a_key_counts_for_72_hours_and_is_then_forgotten(me):
    with time_machine.travel(timezone.now() - timedelta(hours=71)):
        post(me, {"name": "one"})
    assert prune_idempotency_records() == 0
    assert post(me, {"name": "one"})["Idempotent-Replayed"] == "true"

    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        assert prune_idempotency_records() == 1
    assert not IdempotencyRecord.objects.exists()


def test_an_old_key_that_nobody_pruned_begins_anew(me):
    with time_machine.travel(timezone.now() - timedelta(hours=73)):
        post(me, {"name": "one"})

    assert post(me, {"name": "two"}).status_code == 201
    assert made() == {"one", "two"}


@pytest.mark.django_db(transaction=True)
def test_ten_at_once_have_one_effect_and_one_answer():
    user, barrier = make_user(), Barrier(10)

    def attempt(_):
        client = APIClient()
        client.force_authenticate(user)
        barrier.wait()
        try:
            response = post(client, {"name": "one"}, key=KEY)
            return response.status_code, response.content if response.status_code == 201 else response.json()["code"]
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        answers = set(pool.map(attempt, range(10)))

    created = {answer for answer in answers if answer[0] == 201}
    assert len(created) == 1
    assert answers - created <= {(409, "idempotency_in_progress")}
    assert made() == {"one"}
    assert IdempotencyRecord.objects.get().state == "done"


def test_the_record_names_what_was_made_only_when_it_has_an_id(me):
    post(me, {"name": "one"}, key=uuid4().hex)

    assert IdempotencyRecord.objects.get().resource_id is None
