"""What PostgreSQL refuses only now (a deadlock, a wait that was too long): tried again, and no process ends for it."""

from uuid import uuid4

import pytest
from django.db import connection

from eventbus.models import ParkedEvent
from eventbus.processing import DatabaseUnavailableError, Processor
from tests.eventbus.conftest import message
from tests.eventbus.sample import numbers, troubles
from tests.eventbus.test_attempts import boom, key_at_work


@pytest.mark.django_db(transaction=True)
def test_a_key_at_work_for_longer_than_lock_timeout_is_waited_for(sample_room: None) -> None:
    busy, other = uuid4(), uuid4()
    troubles[1] = boom
    processor = Processor("tests")
    processor.process([message(busy, 1)])
    batch = [message(busy, 2), message(other, 3)]
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '50ms'")
    try:
        with key_at_work(str(busy)), pytest.raises(DatabaseUnavailableError, match="lock timeout"):
            processor.process(batch)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")
    assert processor.process(batch) == []

    assert numbers(other) == [3]
    assert list(ParkedEvent.objects.order_by("id").values_list("state", flat=True)) == ["retrying", "queued"]
