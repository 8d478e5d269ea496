"""One creator's share: bytes and files in a day, files that wait; no number of requests at once gets more."""

from threading import Barrier

import pytest

from accounts.models import User
from media import views
from media.models.assets import MediaAsset
from tests.media.conftest import client_of
from tests.media.factories import jpeg, processed, upload
from tests.media.test_direct_uploads import announce
from tests.media.test_upload import send
from tests.races import succeed_at_once

pytestmark = pytest.mark.django_db

NOW = "2026-05-01T12:00:00Z"


def refusal(response):
    assert (response.status_code, response.json()["code"]) == (403, "quota_exceeded")
    return response.json()["detail"]


@pytest.mark.parametrize("bring", [send, announce])
def test_bytes_have_their_limit_and_message(client, creator, settings, time_machine, bring):
    content = jpeg()
    time_machine.move_to(NOW, tick=False)
    settings.MEDIA_DAILY_BYTES = len(content) + 7
    upload(content, owner_id=creator.pk)

    assert refusal(bring(client, content)) == (
        f"{len(content) + 7} bytes may be uploaded in 24 hours, and 7 of them are left. Upload a smaller file,"
        " or wait: the first upload of these hours stops counting at 2026-05-02T12:00:00Z"
    )
    assert announce(client, size=7).status_code == 201
    assert MediaAsset.objects.count() == 2


@pytest.mark.parametrize("bring", [send, announce])
def test_files_have_their_limit_and_message(client, creator, settings, time_machine, bring):
    time_machine.move_to(NOW, tick=False)
    settings.MEDIA_DAILY_FILES = 1
    processed(owner_id=creator.pk)

    assert refusal(bring(client, jpeg())) == (
        "1 files may be uploaded in 24 hours. The first of them stops counting at 2026-05-02T12:00:00Z"
    )
    time_machine.move_to("2026-05-02T12:00:00Z", tick=False)
    assert bring(client, jpeg()).status_code in (201, 202)


@pytest.mark.parametrize("bring", [send, announce])
def test_waiting_files_have_their_limit_and_message(client, creator, settings, bring):
    settings.MEDIA_MAX_IN_FLIGHT = 1
    first = announce(client, jpeg()).json()

    assert refusal(bring(client, jpeg())) == (
        "1 files may be uploaded or processed at a time. Complete uploads that are on their way or give them up,"
        " or wait until files are processed"
    )
    client.delete(f"/api/v1/media/{first['id']}/upload")
    assert bring(client, jpeg()).status_code in (201, 202)


def test_what_was_given_up_still_counts_for_the_day(client, settings):
    settings.MEDIA_DAILY_FILES = 1
    first = announce(client, jpeg()).json()
    client.delete(f"/api/v1/media/{first['id']}/upload")

    assert "files may be uploaded in 24 hours" in refusal(announce(client, jpeg()))


def test_one_creators_share_is_nobody_elses(client, settings):
    settings.MEDIA_DAILY_FILES = 1
    upload()

    assert announce(client, jpeg()).status_code == 201


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("bring", [send, announce])
def test_many_at_once_get_no_more_than_one_after_another(creator, settings, monkeypatch, stored_files, bring):
    settings.MEDIA_DAILY_FILES = 2
    barrier = Barrier(6, timeout=30)

    def after_all_others_looked(record):
        def call(**kwargs):
            barrier.wait()
            return record(**kwargs)

        return call

    for name in ("record_upload", "announce_upload"):
        monkeypatch.setattr(views, name, after_all_others_looked(getattr(views, name)))
    statuses = []

    def one_more():
        statuses.append(bring(client_of(User.objects.get(pk=creator.pk)), jpeg()).status_code)

    succeed_at_once(*[one_more] * 6)

    assert sorted(status // 100 for status in statuses) == [2, 2, 4, 4, 4, 4]
    assert MediaAsset.objects.filter(owner_id=creator.pk).count() == 2
    assert len(stored_files()) == (2 if bring is send else 0)
